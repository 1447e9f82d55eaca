package top

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
)

var update = flag.Bool("update", false, "write the frames of testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)

// busy is a snapshot some seconds after noon: a namespace with much to do.
func busy(seconds int64) Snapshot {
	s := Snapshot{At: noon.Add(time.Duration(seconds) * time.Second), Late: 1234 * time.Millisecond, Stats: triggerhook.NamespaceStats{Tasks: 98_765 - 150*seconds,
		Preloaded: 4321, Due: 12 + seconds, InFlight: 88 - seconds, Dead: 3, Forecast: []triggerhook.Forecast{{Within: 24 * time.Hour, Tasks: 1_234_567, Estimated: true}}}}
	var sum int64
	for i := range Minutes {
		sum += int64(100 + 90*math.Sin(float64(i)/5))
		if i == 42 {
			sum += 1
		}
		s.Within = append(s.Within, triggerhook.Forecast{Within: time.Duration(i+1) * time.Minute, Tasks: sum})
	}
	return s
}

// told are the answers of three workers some seconds after noon: that of a busy one, of one that has a handler stuck, and of one that cannot be read.
func told(seconds int64) askedMsg {
	at := noon.Add(time.Duration(seconds) * time.Second)
	n := uint64(1000 * seconds)
	return askedMsg{at: at, workers: []triggerhook.WorkerInfo{
		{ID: "1", Name: "mailer-7c9f\x1b[2J:1", Started: noon, Seen: at, Roles: []string{"feeder", "reaper"}, Stats: triggerhook.ProcessStats{Created: n, Figures: consumer.Figures{
			Delivered: n, Confirmed: n, RolledBack: n / 100, Queued: 12, InHand: 32, Confirming: 1200, LatenessZero: n / 4, LatenessExp: map[int]int64{-64: int64(n / 2), -48: int64(n / 50)}}}},
		{ID: "2", Name: "mailer-with-a-name-that-is-too-long:1", Started: noon, Seen: at, Roles: []string{"auditor"}, Stats: triggerhook.ProcessStats{Figures: consumer.Figures{
			Delivered: n / 10, Confirmed: n / 10, Stuck: 1, InHand: 1}}},
		{ID: "3", Seen: at}}}
}

// after is a Model of that size that has taken messages.
func after(width, height int, messages ...tea.Msg) Model {
	m := New(context.Background(), "shop on mysql://app:xxxxx@db/shop, redis://cache:6379", 2*time.Second, nil, nil)
	all, _ := m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	for _, msg := range messages {
		all, _ = all.Update(msg)
	}
	return all.(Model)
}

// The frames of testdata are what the terminal shows; -update writes them.
func TestFrames(t *testing.T) {
	paused := busy(2)
	paused.Stats.Pause = triggerhook.PauseStatus{Since: noon, Until: noon.Add(time.Hour), Producers: true}
	paused.Stats.Estimated, paused.Within[59].Estimated = true, true
	quiet := Snapshot{At: noon, Within: make([]triggerhook.Forecast, Minutes)}
	for name, m := range map[string]Model{
		"busy-80x24":    after(80, 24, readMsg{Snapshot: busy(0)}, told(0), readMsg{Snapshot: busy(2)}, told(2)),
		"busy-120x40":   after(120, 40, readMsg{Snapshot: busy(0)}, told(0), readMsg{Snapshot: busy(2)}, told(2), readMsg{Snapshot: busy(4)}, told(4)),
		"first-80x24":   after(80, 24, readMsg{Snapshot: busy(0)}, told(2)),
		"asking-80x24":  after(80, 24, readMsg{Snapshot: busy(0)}),
		"away-80x24":    after(80, 24, readMsg{Snapshot: busy(0)}, told(0), told(2), askedMsg{err: errors.New("workers: unavailable:\x1b[2J")}),
		"silent-80x24":  after(80, 24, readMsg{Snapshot: busy(0)}, askedMsg{err: errors.New("workers: unavailable")}),
		"paused-80x24":  after(80, 24, readMsg{Snapshot: paused}, told(0)),
		"quiet-80x24":   after(80, 24, readMsg{Snapshot: quiet}, askedMsg{at: noon}),
		"reading-80x24": after(80, 24),
		"failed-80x24":  after(80, 24, readMsg{Snapshot: busy(0)}, readMsg{err: errors.New("stats: unavailable:\x1b[2J dial tcp")}),
	} {
		path := filepath.Join("testdata", name+".txt")
		got := Plain(m)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// Whatever the size of the terminal, a frame has as many lines as it, and none is too long.
func TestAFrameFitsTheTerminal(t *testing.T) {
	for _, width := range []int{1, 7, 20, 59, 60, 61, 80, 119, 120, 300} {
		for _, height := range []int{1, 2, 5, 12, 13, 24, 100} {
			frame := after(width, height, readMsg{Snapshot: busy(0)}, readMsg{err: errors.New("no")}, readMsg{Snapshot: busy(2)}, told(0), told(2)).Frame()
			lines := strings.Split(frame, "\n")
			if len(lines) != height {
				t.Errorf("%dx%d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if n := ansi.StringWidth(line); n > width {
					t.Errorf("%dx%d: a line of %d columns: %q", width, height, n, line)
				}
			}
		}
	}
}

// The highest bar reaches the top, what is not 0 is seen, and what is 0 is not.
func TestBarsAreInProportion(t *testing.T) {
	all := []int64{0, 1, 500, 1000}
	var got []string
	for level := 4; level >= 1; level-- {
		got = append(got, bars(all, 1000, level, 4, 1))
	}
	if want := []string{"   █", "   █", "  ██", " ▁██"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Estimates may fall from one minute to the next; no minute has fewer than none, and the sum is the highest of them.
func TestMinutesOfEstimates(t *testing.T) {
	s := Snapshot{Within: []triggerhook.Forecast{{Tasks: 10}, {Tasks: 30, Estimated: true}, {Tasks: 20, Estimated: true}, {Tasks: 35, Estimated: true}}}
	got, estimated := s.minutes()
	if fmt.Sprint(got) != "[10 20 0 5]" || !estimated {
		t.Errorf("got %v, estimated: %t", got, estimated)
	}
}

func press(text string) tea.KeyPressMsg {
	return tea.KeyPressMsg{Code: []rune(text)[0], Text: text}
}

// Keys change the interval, within its bounds, or end the program. No other key does anything.
func TestKeys(t *testing.T) {
	m := after(80, 24)
	for range 10 {
		m = updated(t, m, press("+"))
	}
	if m.every != 30*time.Second {
		t.Errorf("after many + the interval is %s, want 30s", m.every)
	}
	for range 10 {
		m = updated(t, m, press("-"))
	}
	if m.every != time.Second {
		t.Errorf("after many - the interval is %s, want 1s", m.every)
	}
	for _, key := range []string{"p", "d", "x", " "} {
		if got := updated(t, m, press(key)); got.every != m.every {
			t.Errorf("%q changes the interval to %s", key, got.every)
		}
	}
	for _, key := range []tea.KeyPressMsg{press("q"), {Code: tea.KeyEscape}, {Code: 'c', Mod: tea.ModCtrl}} {
		_, cmd := m.Update(key)
		if cmd == nil {
			t.Fatalf("%s does nothing", key)
		}
		if _, is := cmd().(tea.QuitMsg); !is {
			t.Errorf("%s does not end it", key)
		}
	}
}

// updated is m after a message that asks for nothing.
func updated(t *testing.T, m Model, msg tea.Msg) Model {
	t.Helper()
	next, cmd := m.Update(msg)
	if cmd != nil {
		t.Errorf("%v asks for something", msg)
	}
	return next.(Model)
}

// One read is under way at a time: a read is followed by a wait, and only that by the next read. An error keeps the figures.
func TestReadsFollowEachOther(t *testing.T) {
	reads := 0
	m := New(t.Context(), "", time.Millisecond, func(ctx context.Context) (Snapshot, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a read is not bounded")
		}
		if reads++; reads > 1 {
			return Snapshot{}, errors.New("away")
		}
		return busy(0), nil
	}, nil)
	cmd := tea.Cmd(m.read)
	for range 2 {
		next, wait := m.Update(cmd())
		m = next.(Model)
		if _, is := wait().(againMsg); !is {
			t.Fatal("a read is not followed by a wait")
		}
		next, cmd = m.Update(againMsg{})
		m = next.(Model)
	}
	if reads != 2 || m.err == nil || m.last.Stats.Tasks != busy(0).Stats.Tasks {
		t.Errorf("%d reads, error %v, %d tasks; want 2, an error, and the figures from before", reads, m.err, m.last.Stats.Tasks)
	}
}

// The workers are asked beside that, one question at a time, and a picture of its own asks them twice, so that it has rates.
func TestWorkersAreAskedOneQuestionAtATime(t *testing.T) {
	asked := int64(0)
	m := New(t.Context(), "", time.Millisecond, func(context.Context) (Snapshot, error) { return busy(0), nil }, func(ctx context.Context) ([]triggerhook.WorkerInfo, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("a question is not bounded")
		}
		asked++
		return told(2 * asked).workers, nil
	})
	if all, is := m.Init()().(tea.BatchMsg); !is || len(all) != 2 {
		t.Errorf("it begins with %v, want a read and a question", all)
	}
	next, later := m.Update(m.ask())
	if _, is := later().(askAgainMsg); !is {
		t.Fatal("a question is not followed by a wait")
	}
	if _, cmd := next.Update(askAgainMsg{}); cmd == nil {
		t.Fatal("a wait is not followed by a question")
	}
	once, err := Once(m)
	if want := "1,100.0"; err != nil || asked != 3 || !strings.Contains(Plain(once), want) || !strings.Contains(Plain(once), "98,765") {
		t.Errorf("after %d questions, %v, the picture lacks %s:\n%s", asked, err, want, Plain(once))
	}
}

// Lateness is that of the last answers, and not more of them are kept.
func TestLatenessIsThatOfTheLastAnswers(t *testing.T) {
	var all []tea.Msg
	for second := range int64(3 * kept) {
		all = append(all, told(2*second))
	}
	f := after(80, 24, all...).fleet
	if got := f.late[len(f.late)-1].Since(f.late[0]).Count(); len(f.late) != kept || got != 2*(kept-1)*770 {
		t.Errorf("of %d answers %d are kept, with %d deliveries, want %d with %d", len(all), len(f.late), got, kept, 2*(kept-1)*770)
	}
}

func TestDurationsAndNumbersAreShort(t *testing.T) {
	for want, got := range map[string]string{"0s": short(0), "12.35µs": short(12_345), "3.95ms": short(3_951_234), "1.5s": short(1500 * time.Millisecond), "1,234.6": decimal(1234.56), "0.0": decimal(0)} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// In a terminal it draws, and q ends it.
func TestTheProgramDrawsAndEnds(t *testing.T) {
	in, keys := io.Pipe()
	drawn := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel() // ends the wait for the next read
	model := New(ctx, "shop", time.Hour, func(context.Context) (Snapshot, error) { return busy(0), nil },
		func(context.Context) ([]triggerhook.WorkerInfo, error) { return told(0).workers, nil })
	out := &watched{want: "workers: 3 alive", seen: drawn}
	go func() {
		<-drawn
		_, _ = keys.Write([]byte("q"))
	}()
	_, err := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithWindowSize(80, 24)).Run()
	if err != nil {
		t.Errorf("the program ended with %v", err)
	}
	_ = keys.Close()
}

// watched closes seen once want was written.
type watched struct {
	all  bytes.Buffer
	want string
	seen chan struct{}
	done bool
}

func (w *watched) Write(b []byte) (int, error) {
	w.all.Write(b)
	if !w.done && strings.Contains(w.all.String(), w.want) {
		w.done = true
		close(w.seen)
	}
	return len(b), nil
}
