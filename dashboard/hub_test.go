package dashboard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// source counts how often its figures are read.
type source struct {
	mu        sync.Mutex
	stats     int
	forecasts int
	err       error
	slow      time.Duration // how long a forecast takes

	asked   int // how often the workers were
	askErr  error
	askSlow time.Duration // how long they take
	began   time.Time     // when they did
}

func (s *source) Stats(context.Context) (out triggerhook.Stats, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats++
	out.Process.Created = uint64(10 * s.stats)
	if s.err == nil {
		out.Namespace.Tasks = int64(s.stats)
	}
	return out, s.err
}

func (s *source) Forecast(ctx context.Context, within ...time.Duration) (all []triggerhook.Forecast, err error) {
	s.mu.Lock()
	s.forecasts++
	slow := s.slow
	s.mu.Unlock()
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for i, w := range within {
		all = append(all, triggerhook.Forecast{Within: w, Tasks: int64(i)})
	}
	return all, nil
}

func (s *source) Partitions(context.Context) ([]triggerhook.PartitionInfo, error) { return nil, nil }

// Workers are two, one of which has confirmed 20 tasks more each second, the other one none.
func (s *source) Workers(ctx context.Context) (all []triggerhook.WorkerInfo, err error) {
	s.mu.Lock()
	s.asked++
	slow, failed, began := s.askSlow, s.askErr, s.began
	s.mu.Unlock()
	timer := time.NewTimer(slow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if failed != nil {
		return nil, failed
	}
	done := uint64(20 * time.Since(began).Seconds())
	busy := consumer.Figures{Confirmed: done, LatenessZero: done, Queued: 1, InHand: 2, Confirming: 3, Stuck: 4}
	return []triggerhook.WorkerInfo{{ID: "b", Name: "busy", Started: began, Seen: time.Now(), Roles: []string{"feeder", "reaper"}, Stats: triggerhook.ProcessStats{Figures: busy}},
		{ID: "a", Name: "<b>idle", Started: began, Seen: time.Now(), Stats: triggerhook.ProcessStats{Figures: consumer.Figures{InHand: 5, ClockOffset: 3 * time.Second}}}}, nil
}

func (s *source) counts() (stats, forecasts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats, s.forecasts
}

// questions returns how often the workers were asked.
func (s *source) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// fail has the workers answer with an error from now on.
func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.askErr = err
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestOneSamplerServesAllViewersAndEndsWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{}
		h := newHub(src)
		pass(time.Minute)
		if n, f := src.counts(); n != 0 || f != 0 {
			t.Fatalf("without a viewer %d samples and %d forecasts were read", n, f)
		}
		var leaves []func()
		var news []<-chan struct{}
		for range 20 {
			c, leave := h.join()
			news, leaves = append(news, c), append(leaves, leave)
		}
		pass(10*time.Second + time.Millisecond)
		if n, f := src.counts(); n != 11 || f != 6 {
			t.Errorf("in 10 s %d samples and %d forecasts were read for 20 viewers, want 11 and 6 (3 times 2)", n, f)
		}
		for i, c := range news {
			select {
			case <-c:
			default:
				t.Errorf("viewer %d was not told", i)
			}
		}
		for _, leave := range leaves[1:] {
			leave()
		}
		before, _ := src.counts()
		pass(5 * time.Second)
		if n, _ := src.counts(); n != before+5 {
			t.Errorf("with one viewer left %d samples were read in 5 s, want 5", n-before)
		}
		leaves[0]()
		pass(time.Second)
		before, _ = src.counts()
		pass(time.Hour)
		if n, _ := src.counts(); n != before {
			t.Errorf("%d samples were read after the last viewer left", n-before)
		}
		_, leave := h.join()
		pass(3 * time.Second)
		leave()
		if n, _ := src.counts(); n < before+3 {
			t.Errorf("a viewer that comes later gets %d samples in 3 s, want at least 3", n-before)
		}
	})
}

func TestASlowForecastHoldsUpNoSampleAndIsReadLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{slow: 2 * time.Second}
		h := newHub(src)
		_, leave := h.join()
		pass(200*time.Second + time.Millisecond)
		leave()
		if n, f := src.counts(); n != 201 || f > 6 {
			t.Errorf("in 200 s %d samples and %d forecasts of 4 s a pair were read, want 201 and at most 6", n, f)
		}
	})
}

func TestFiguresThatCannotBeReadStayAndSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{}
		h := newHub(src)
		if _, err := h.look(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		src.err = errors.New("no route to host")
		pass(2 * time.Second)
		s, err := h.look(t.Context(), time.Second)
		if err != nil || s.stats.Namespace.Tasks != 1 || !errors.Is(s.err, src.err) {
			t.Errorf("got %+v, %v, want the figures of before, with the cause", s.stats.Namespace, err)
		}
		if v := lifeOf(s); v.Error != "no route to host" || v.Stages[0].Count != "1" {
			t.Errorf("the view is %+v", v)
		}
	})
}

// The workers are asked by a goroutine of its own, one at a time, and their figures stay when they do not answer.
func TestTheWorkersAreAskedBesideTheSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{askSlow: 2900 * time.Millisecond, began: time.Now()}
		h := newHub(src)
		_, leave := h.join()
		pass(2500 * time.Millisecond)
		if v := overviewOf(h.current(), nil); !v.Workers.Asking || !v.Lateness.Asking || v.Life.Stages[5].Count != "–" || v.Life.Stages[5].In != "" || src.questions() != 1 {
			t.Errorf("before the workers have told, after they were asked %d times, the page shows %+v, want nothing of them", src.questions(), v)
		}
		pass(8 * time.Second)
		if n, _ := src.counts(); n != 11 || src.questions() != 4 {
			t.Errorf("in 10.5 s %d samples were read, and the workers, which take 3 s, were asked %d times, want 11 and 4", n, src.questions())
		}
		src.fail(errors.New("no workers key"))
		pass(12 * time.Second)
		s := h.current()
		leave()
		pass(time.Minute)
		asked := src.questions()
		if pass(time.Hour); src.questions() != asked {
			t.Error("the workers are asked without a viewer")
		}
		v := overviewOf(s, &load{partitions: []triggerhook.PartitionInfo{{Generation: 5}}})
		if life := v.Life; life.Stages[5].In != "20/s confirmed" || life.Stages[4].Count != "3" || life.Queued != 1 || life.Stuck != 4 || s.fleet.Sum.Confirmed != s.fleet.Workers[1].Stats.Confirmed {
			t.Errorf("the life is %+v, with %+v", life, s.fleet.Figures)
		}
		if w := v.Workers; w.Error != "no workers key" || w.Asking || w.Count != "2" || len(w.Rows) != 2 || w.Rows[0].Name != "<b>idle" || w.Rows[0].Off != "3s" || w.Rows[1].Confirmed != "20/s" || w.Rows[1].Roles != "feeder, reaper" || !w.Rows[1].IsStuck {
			t.Errorf("the workers are %+v", w)
		}
		if v.Partitions.Feeder != "busy" || v.Lateness.Asking || v.Lateness.Empty {
			t.Errorf("the feeder is %q, and lateness %+v", v.Partitions.Feeder, v.Lateness)
		}
		text, err := (&frames{}).of(s)
		if err != nil || strings.Contains(text["workers"], "<b>") || !strings.Contains(text["workers"], "&lt;b&gt;idle") {
			t.Errorf("the fragment is %v, %s", err, text["workers"])
		}
	})
}

// Of very many workers a page shows the first, and one that tells what cannot be read is shown as that.
func TestManyWorkers(t *testing.T) {
	f := &fleet{at: time.Now(), err: errors.New(`worker "old"`)}
	for i := range mostWorkers + 7 {
		f.Workers = append(f.Workers, throughput.Worker{WorkerInfo: triggerhook.WorkerInfo{ID: fmt.Sprint(i), Name: "w", Started: time.Now()}})
	}
	f.Workers[1].Started = time.Time{}
	if v := workersOf(f); len(v.Rows) != mostWorkers || v.More != "7" || v.Count != "107" || !v.Rows[1].Unread || v.Rows[0].Unread || v.Rows[0].Confirmed != "–" || v.Error == "" {
		t.Errorf("%d of %s workers are shown, and %s more: %+v", len(v.Rows), v.Count, v.More, v.Rows[:2])
	}
}

// exact is where a lateness lies in the buckets, as package consumer counts it.
func exact(p *throughput.Histogram, late time.Duration, n int64) {
	if p.Exp == nil {
		p.Exp = map[int]int64{}
	}
	p.Exp[int(math.Ceil(math.Log2(late.Seconds())*(1<<consumer.LatenessSchema)))] += n
}

// The quantiles are those of all deliveries since the workers began, as long as nothing older is known.
func TestLatenessOfTheBeginning(t *testing.T) {
	var p throughput.Histogram
	exact(&p, time.Second, 1000)
	var l latenessHistory
	if got := l.add(p, time.Now()); got.n != 1000 || !got.since.IsZero() || got.quantiles[0].late < 900*time.Millisecond || got.quantiles[3].late > time.Second {
		t.Errorf("got %+v, want 1000 deliveries since the beginning, 1 s late", got)
	}
}

func TestLatenessIsThatOfTheLastQuarterOfAnHour(t *testing.T) {
	var l latenessHistory
	var p throughput.Histogram
	now := time.Now()
	var got lateness
	for second := range 3600 { // one delivery a second, 1 s late in the first half hour and 1 ms late then
		late := time.Second
		if second >= 1800 {
			late = time.Millisecond
		}
		exact(&p, late, 1)
		snapshot := p
		snapshot.Exp = maps.Clone(p.Exp)
		got = l.add(snapshot, now.Add(time.Duration(second)*time.Second))
		if len(l.slots) > mostSlots {
			t.Fatalf("%d samples are kept, want at most %d", len(l.slots), mostSlots)
		}
	}
	if got.n < 900 || got.n > 911 {
		t.Errorf("%d deliveries in the last 15 minutes, want 900 to 911", got.n)
	}
	if worst := got.quantiles[3].late; worst > 2*time.Millisecond {
		t.Errorf("what was 1 s late half an hour ago counts: p99.9 is %v", worst)
	}
	if len(got.slots) < 85 {
		t.Errorf("the line has %d points, want about 90", len(got.slots))
	}
	later := l.add(p, now.Add(3*time.Hour))
	if since := now.Add(3 * time.Hour).Sub(later.since); since < 2*time.Hour {
		t.Errorf("after a gap the lateness is told as that of %v, want all of the gap", since)
	}
}

func TestAHistogramHasTheDifferencesOfAForecast(t *testing.T) {
	g := histogramOf(time.Now(), time.Minute, []triggerhook.Forecast{{Tasks: 5}, {Tasks: 5}, {Tasks: 4}, {Tasks: 9}, {Tasks: 20, Estimated: true}, {Tasks: 30}})
	if want := []int64{5, 0, 0, 4, 11, 10}; !slices.Equal(g.counts, want) || g.estimated != 4 {
		t.Errorf("got %v, estimated from %d, want %v from 4", g.counts, g.estimated, want)
	}
	c := chartOf("hour", "The coming hour", g, 3, nil)
	if c.Total != "≈ 30" || c.Top != "11" || len(c.Rows) != 2 || c.Rows[0].Count != "5" || c.Rows[1].Count != "≈ 25" || c.Bars[0].Height != 45 || c.Bars[1].Height != 0 {
		t.Errorf("the chart is %+v", c)
	}
	if empty := chartOf("day", "The coming 24 hours", histogram{}, 4, nil); !empty.Empty {
		t.Error("a chart without a bar is not empty")
	}
}

func TestTextsForPeople(t *testing.T) {
	for want, got := range map[string]string{
		"0": num(0), "999": num(999), "1,000": num(1000), "12,345,678": num(int64(12345678)), "-1,234": num(-1234), "≈ 1,000": about(1000, true),
		"0/s": rate(0), "< 0.1/s": rate(0.05), "2.5/s": rate(2.5), "1,235/s": rate(1234.6),
		"83 µs": late(83 * time.Microsecond), "2.30 ms": late(2300 * time.Microsecond), "23.4 s": late(23400 * time.Millisecond), "20 min": late(20 * time.Minute),
		"now": relative(0), "in 5 min": relative(5 * time.Minute), "2 h 5 min ago": relative(-125 * time.Minute), "in 40 d": relative(40*24*time.Hour + time.Hour), "1 min 30 s": span(90 * time.Second),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTimesArePutInAsPeopleWriteThem(t *testing.T) {
	now := time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"": {}, "now": now, " 90s ": now.Add(90 * time.Second), "-1h": now.Add(-time.Hour), "2026-12-24 18:00": now.Add(6 * time.Hour),
		"2026-12-24T18:00:00+01:00": now.Add(5 * time.Hour), "2026-12-25": now.Add(12 * time.Hour)} {
		if got, err := parseWhen("From", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := parseWhen("From", "24.12.2026", now); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("a time that is none: %v", err)
	}
}
