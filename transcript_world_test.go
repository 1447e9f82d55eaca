package triggerhook_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/inspect"
	"github.com/triggerhook/triggerhook/task"
)

// transcriptWorld is the embedded pair, and the processes of one transcript that share it. It
// lives in a synctest bubble: time passes only when the script says so, and a step ends when all
// goroutines wait for something.
type transcriptWorld struct {
	*names
	store *bolt.Store
	hot   []*hotServer // the first one is that of the processes that name none; the script's goroutine alone reads it
	many  atomic.Bool  // there are several
	procs []*proc
	over  chan struct{} // closed at the end: what is held back goes on then, and fails

	mu    sync.Mutex
	notes []note
}

// note is one call, or the answer of a command.
type note struct {
	at   time.Time
	p    *proc
	rank rank
	text string
}

// rank orders the notes of a process at one moment, because several of its goroutines may make them.
type rank int

const (
	rankExtend rank = iota // the keeper's calls, which come at fixed times whatever else the process does
	rankCall               // what else it asks of the stores
	rankDeath              // its end
	rankAnswer             // what a command returns
	rankEnd                // of the context of a delivery
)

func rankOf(call string) rank {
	if call == "extend" {
		return rankExtend
	}
	return rankCall
}

// newTranscriptWorld opens both stores. The hot set is empty, and no process has begun a generation.
func newTranscriptWorld(t *testing.T) *transcriptWorld {
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w := &transcriptWorld{names: newNames(), store: store, over: make(chan struct{})}
	if _, err := w.server("s1"); err != nil {
		t.Fatal(err)
	}
	return w
}

// server returns the server of that name; it is made if there is none.
func (w *transcriptWorld) server(name string) (*hotServer, error) {
	for _, h := range w.hot {
		if h.name == name {
			return h, nil
		}
	}
	set, err := local.New(local.Options{})
	if err != nil {
		return nil, err
	}
	h := &hotServer{Set: set, name: name}
	w.hot = append(w.hot, h)
	w.many.Store(len(w.hot) > 1)
	return h, nil
}

// end ends all processes, and returns once all their goroutines have ended.
func (w *transcriptWorld) end() error {
	var errs []error
	for _, p := range w.procs {
		p.die("")
		p.mu.Lock()
		for _, t := range p.traps {
			errs = append(errs, fmt.Errorf("%s: %s:%s was waited for in vain", p.name, t.what, t.call))
		}
		p.mu.Unlock()
	}
	close(w.over)
	for _, p := range w.procs {
		p.end()
		if p.done != nil {
			p.stop()
			if err := <-p.done; err != nil && !errors.Is(err, task.ErrUnavailable) && !errors.Is(err, task.ErrClosed) {
				errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			}
		}
	}
	<-time.After(time.Minute) // what is retried in the background finds that its store is closed, and gives up
	return errors.Join(errs...)
}

// begin makes a process; run tells whether it works, or only creates and deletes.
func (w *transcriptWorld) begin(name string, o triggerhook.Options, run bool, s *step) (*proc, error) {
	if slices.ContainsFunc(w.procs, func(p *proc) bool { return p.name == name }) {
		return nil, fmt.Errorf("a process is called %s already", name)
	}
	p := &proc{name: name, w: w, deliveries: map[string]*triggerhook.Delivery{}, cut: map[string]bool{}, late: map[string][]chan struct{}{}}
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	server, is := s.arg("server")
	if !is {
		server = w.hot[0].name
	}
	var err error
	if p.h, err = w.server(server); err != nil {
		return nil, err
	}
	if p.sch, err = triggerhook.New(gatedStore{w.store, p}, gatedSet{p.h.Set, p, p.h}, o); err != nil {
		return nil, err
	}
	p.ctx, p.end = context.WithCancel(context.WithValue(context.Background(), scripted{}, true))
	w.procs = append(w.procs, p)
	if err := p.sch.Migrate(p.ctx); err != nil {
		return nil, err
	}
	if err := p.set(s); err != nil { // what befalls it from now on
		return nil, err
	}
	if run {
		var ctx context.Context
		ctx, p.stop = context.WithCancel(context.Background())
		p.done = make(chan error, 1)
		go func() { p.done <- p.sch.Run(ctx) }()
	}
	return p, nil
}

// note keeps a call, to be printed at the end of the step.
func (w *transcriptWorld) note(p *proc, text string) { w.add(note{p: p, text: text, rank: rankCall}) }

func (w *transcriptWorld) add(n note) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n.at = time.Now()
	w.notes = append(w.notes, n)
}

// taken returns what was noted since the last step, and forgets it.
func (w *transcriptWorld) taken() []note {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.notes
	w.notes = nil
	place := func(p *proc) int { return slices.Index(w.procs, p) }
	slices.SortStableFunc(all, func(a, b note) int {
		order := cmp.Or(a.at.Compare(b.at), cmp.Compare(place(a.p), place(b.p)), cmp.Compare(a.rank, b.rank))
		if order == 0 && a.rank == rankAnswer { // of goroutines that no order holds
			order = strings.Compare(a.text, b.text)
		}
		return order
	})
	return all
}

// printed is what a step prints: its calls and answers, those after it began with their times, and then
// both stores.
func (w *transcriptWorld) printed(began time.Time) (string, error) {
	var lines []string
	all := w.taken()
	for i := 0; i < len(all); i++ {
		n, same := all[i], 1
		for i+1 < len(all) && all[i+1].p == n.p && all[i+1].text == n.text {
			i++
			same++
		}
		line := n.p.name + " " + n.text
		if n.at.After(began) {
			line = signed(n.at.Sub(w.start)) + " " + line
		}
		if same > 1 {
			line += fmt.Sprintf(" (%d times", same)
			if last := all[i].at; last.After(n.at) {
				line += ", the last at " + signed(last.Sub(w.start))
			}
			line += ")"
		}
		lines = append(lines, line)
	}
	if now := time.Now(); now.After(began) {
		lines = append(lines, "it is "+signed(now.Sub(w.start)))
	}
	rows, err := w.printedStore()
	if err != nil {
		return "", err
	}
	lines = append(lines, rows...)
	for _, h := range w.hot {
		lines = append(lines, w.printedSet(h)...)
	}
	return strings.Join(lines, "\n"), nil
}

func (w *transcriptWorld) printedStore() ([]string, error) {
	ctx := context.Background()
	rows, err := w.store.Scan(ctx, task.Cursor{}, math.MaxInt64, 1000, 0)
	if err != nil {
		return nil, err
	}
	records, err := w.records(ctx)
	if err != nil {
		return nil, err
	}
	lines := []string{"durable store: " + records}
	for _, r := range rows {
		line := "  " + w.ref(r.Ref)
		if prev, is := r.Prev(); is {
			line += " (before: " + w.ref(prev) + ")"
		}
		line += " due " + w.at(r.DueMS)
		if r.NextMS != r.DueMS {
			line += " next " + w.at(r.NextMS)
		}
		lines = append(lines, line+attempts(r.Attempt))
	}
	if len(rows) == 0 {
		lines = append(lines, "  no row")
	}
	return lines, nil
}

func attempts(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" attempts %d", n)
}

// records are what the durable store records of the hot set.
func (w *transcriptWorld) records(ctx context.Context) (string, error) {
	all, err := w.store.Records(ctx)
	if errors.Is(err, task.ErrNotMigrated) {
		return "no schema", nil
	}
	if err != nil {
		return "", err
	}
	var words []string
	for _, name := range []string{task.GenerationName(0), task.RecordWindow, task.RecordLease} {
		if text := all.Values[name]; text != "" {
			words = append(words, w.record(name, text))
		}
	}
	return strings.Join(words, ", "), nil
}

// record is one record of the hot set: its name and its values.
func (w *transcriptWorld) record(name, text string) string {
	var g task.Generation
	var window task.Window
	var lease task.Lease
	switch {
	case name == task.RecordWindow && window.UnmarshalText([]byte(text)) == nil:
		said := "window " + values(window.EffectiveMS, window.AnnouncedMS)
		if window.WaitedMS > 0 {
			said += " for " + millis(window.WaitedMS)
		}
		return said
	case name == task.RecordLease && lease.UnmarshalText([]byte(text)) == nil:
		return "lease " + values(lease.EffectiveMS, lease.AnnouncedMS)
	case strings.HasPrefix(name, task.RecordGeneration) && g.UnmarshalText([]byte(text)) == nil:
		said := "generation " + w.place(g.Current)
		if g.Next.Generation != 0 {
			said += ", " + w.place(g.Next) + " announced"
		}
		return said
	}
	return name + " " + text
}

// place is a generation, with its server where there are several.
func (w *transcriptWorld) place(p task.Place) string {
	if p.Generation == 0 || !w.many.Load() && p.Server != task.Anywhere {
		return w.generation(p.Generation)
	}
	if p.Server == task.Anywhere {
		return "any server"
	}
	return w.generation(p.Generation) + " on " + p.Server
}

// values are an effective value, and one that is announced if it is another.
func values(effective, announced int64) string {
	switch {
	case effective == 0:
		return millis(announced) + " announced"
	case effective == announced:
		return millis(effective)
	}
	return millis(effective) + ", " + millis(announced) + " announced"
}

func millis(n int64) string { return length(time.Duration(n) * time.Millisecond) }

func (w *transcriptWorld) printedSet(h *hotServer) []string {
	set := inspect.Local(h.now(), 0)
	where := "hot set"
	if len(w.hot) > 1 {
		where += " on " + h.name
	}
	if set.Generation == 0 {
		return []string{where + ": cold"}
	}
	lines := []string{fmt.Sprintf("%s: generation %s, horizon %s, loaded %s", where, w.generation(set.Generation), w.at(set.HorizonMS), w.cursor(set.Loaded))}
	for _, m := range set.Waiting {
		lines = append(lines, "  waiting "+w.ref(m.Ref)+" at "+w.at(m.AtMS)+attempts(m.Attempt))
	}
	lines = append(lines, w.printedBatches(set.Batches)...)
	if len(set.Tombstones) > 0 {
		lines = append(lines, "  tombstones "+w.refs(set.Tombstones))
	}
	if len(set.Marks) > 0 {
		lines = append(lines, "  marks "+strings.Join(set.Marks, " "))
	}
	if len(lines) == 1 {
		lines = append(lines, "  no member")
	}
	return lines
}

func (w *transcriptWorld) printedBatches(batches []inspect.Batch) (lines []string) {
	for _, b := range batches {
		words := make([]string, len(b.Members))
		for i, m := range b.Members {
			words[i] = w.ref(m.Ref) + attempts(m.Attempt)
		}
		slices.Sort(words)
		lines = append(lines, fmt.Sprintf("  batch %s until %s: %s", w.batch(b.Token), signed(b.Ends.Sub(w.start)), strings.Join(words, ", ")))
	}
	slices.Sort(lines)
	return lines
}
