// Package record knows what the durable store records of the hot set: which generation of
// each partition counts, how far the horizon may reach, and how long a lease may be.
//
// OneGeneration: one generation of each partition is current, on one server, and the durable store
// records which. A generation that is no longer current has no effect (docs/design.md;
// docs/model/servers.pml).
//
// Protocol. A process relies on what it has read for Trust after the read began, and only if
// nothing was announced by then. A process that wants to take over from another server
// announces that, waits for Hold, and makes it effective; only then the new generation begins.
// Hold is longer than Trust, so whatever any process did in reliance on the generation before
// is done by then.
//
//	Delete    needs records that may be relied upon at a moment after its row was deleted
//	a claim   needs records that may be relied upon before it is sent and after it is answered
//	a veto    a worker that meets an announcement of another server, while the generation that
//	          counts answers it, takes the announcement back: so the hot set does not move
//	          while any process works with it
package record

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// Trust is how long a process relies on what it has read.
	Trust = 1500 * time.Millisecond
	// Hold is how long an announcement stands before it becomes effective. It is longer than
	// Trust, by more than the rates of two clocks may differ.
	Hold = 2 * time.Second
	// refreshEvery is how often a worker reads the records while it uses them: more often than
	// they are relied upon for, and so that an announcement can be vetoed. refreshIdle is the
	// same of a worker that has not used them for usedFor, until it uses them again.
	// refreshAlone is the same where no other process can change them.
	refreshEvery = time.Second
	refreshIdle  = 8 * time.Second
	usedFor      = 3 * time.Second
	refreshAlone = 5 * time.Second
	// readTimeout bounds one read.
	readTimeout = 5 * time.Second
	// FreshenTimeout is how long Freshen waits for a read.
	FreshenTimeout = time.Second
	// vetoWait bounds the question whether the current generation answers.
	vetoWait = 500 * time.Millisecond
)

// Reader is what this process knows of the records, and what it has told its hot set of them.
//
// Invariant: reads follow one another, so what is known never becomes older. What this
// process records itself it reads again: it never assumes what its own write has left.
//
// A goroutine exists only while a read is under way.
type Reader struct {
	store  durable.Store
	set    hotset.Set // asked whether the current generation answers; told what is read
	parts  int
	report *report.Reporter

	mu       sync.Mutex
	known    Known
	read     time.Time     // when the last read that succeeded was about to begin
	started  int           // reads so far
	finished int           // the last of them that has ended
	err      error         // the result of that read
	reading  chan struct{} // closed when the read under way ends
	asked    time.Time     // when Freshen last began a read
	away     bool          // a read failed or took too long, and none has succeeded since
	working  bool          // this process works, so it vetoes
	used     time.Time     // when this process last claimed, held or fed something, or had a role
	busy     chan struct{} // has an element once it was used after it had been idle
	since    []time.Time   // by partition: what is announced was recorded then at the latest
	abort    func(error)   // ends the work of this process: the hot set is another durable store's
	cold     chan struct{} // has an element once a call has met a partition that is cold
}

// Known is one reading of the records.
type Known struct {
	Window    task.Window // zero: none is recorded
	Lease     task.Lease  // zero: none is recorded
	Exclusive bool        // the store is this process's alone

	identity    string
	generations []task.Generation
	texts       []string // the same, as they stand
	past        []bool   // by partition: the process that recorded the generation has ended
}

// NewReader returns a Reader that knows nothing yet. It does no I/O.
func NewReader(store durable.Store, set hotset.Set, r *report.Reporter) *Reader {
	parts := set.Config().Partitions
	return &Reader{store: store, set: set, parts: parts, report: r, busy: make(chan struct{}, 1), cold: make(chan struct{}, 1),
		since: make([]time.Time, parts), abort: func(error) {}}
}

// Refresh reads the records, or waits for a read that begins after this call does.
func (r *Reader) Refresh(ctx context.Context) error {
	r.mu.Lock()
	after := r.started
	for {
		if r.finished > after {
			defer r.mu.Unlock()
			return r.err
		}
		if r.reading == nil {
			r.started++
			r.reading = make(chan struct{})
			go r.readOnce(context.WithoutCancel(ctx))
		}
		done := r.reading
		r.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("read the records: %w", ctx.Err())
		}
		r.mu.Lock()
	}
}

// readOnce reads, vetoes what is to be vetoed, and notes what is known then.
func (r *Reader) readOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	began := time.Now()
	all, err := r.store.Records(ctx)
	var k Known
	if err == nil {
		k, err = r.parse(all)
	}
	if err == nil {
		err = r.tell(k)
	}
	if err == nil {
		r.veto(ctx, k)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.note(k, began)
	}
	r.away = err != nil
	r.finished, r.err = r.started, err
	close(r.reading)
	r.reading = nil
}

func (r *Reader) parse(all task.Records) (k Known, err error) {
	if k.identity = all.Identity(); k.identity == "" {
		return k, fmt.Errorf("%w: no identity is recorded", task.ErrNotMigrated)
	}
	k.Exclusive = all.Past != nil
	var e1, e2 error
	k.Window, e1 = all.Window()
	k.Lease, e2 = all.Lease()
	err = errors.Join(e1, e2)
	for p := range r.parts {
		g, e := all.Generation(p)
		err = errors.Join(err, e)
		name := task.GenerationName(p)
		k.generations, k.texts, k.past = append(k.generations, g), append(k.texts, all.Values[name]), append(k.past, all.Past[name])
	}
	return k, err
}

// tell tells the hot set which generations count.
func (r *Reader) tell(k Known) error {
	e := task.Expected{Identity: k.identity}
	for _, g := range k.generations {
		e.Generations = append(e.Generations, g.Current.Generation)
	}
	err := r.set.Expect(e)
	r.Observe(err)
	return err
}

// note notes what was read, by a read that was about to begin then. Under mu.
func (r *Reader) note(k Known, began time.Time) {
	for p, g := range k.generations {
		if r.known.generations == nil || r.known.generations[p].Next != g.Next {
			r.since[p] = time.Now()
		}
	}
	r.known, r.read = k, began
}

// veto takes announcements back, where this process works with the current generation,
// and that generation answers.
func (r *Reader) veto(ctx context.Context, k Known) {
	r.mu.Lock()
	working := r.working
	r.mu.Unlock()
	for p, g := range k.generations {
		if !working || g.Next == (task.Place{}) || g.Current.Generation == 0 {
			continue
		}
		short, cancel := context.WithTimeout(ctx, vetoWait)
		st, err := r.set.State(short, p)
		cancel()
		if err != nil || st.AsOf.Generation != g.Current.Generation {
			continue
		}
		is := task.Generation{Current: g.Current}
		failpoint.Hit("veto/swap")
		text, swapped, err := r.Swap(ctx, p, k.texts[p], is)
		if err != nil {
			r.report.Error("keep the hot set where it is", err, "tried again", "partition", p)
		}
		if swapped {
			r.report.Info("kept the hot set where it is: its server answers", "partition", p, "server", g.Current.Server, "announced", g.Next.Server)
			k.generations[p], k.texts[p] = is, text
			failpoint.Hit("veto/end")
		}
	}
}

// Swap records to for partition p, if the record still reads old. It returns the new record,
// and whether it stands now.
func (r *Reader) Swap(ctx context.Context, p int, old string, to task.Generation) (text string, swapped bool, err error) {
	b, err := to.MarshalText()
	if err != nil {
		return "", false, err
	}
	swapped, err = r.store.SwapRecord(ctx, task.GenerationName(p), old, string(b))
	return string(b), swapped, err
}

// Observe looks at the error of a call to the hot set. It ends the work of this process if the
// hot set is another durable store's, and has the feeder look if a partition is cold.
func (r *Reader) Observe(err error) {
	if errors.Is(err, task.ErrCold) {
		wait.Wake(r.cold)
	}
	if errors.Is(err, task.ErrMismatch) {
		r.Abort(err)
	}
}

// Cold has an element once a call has met a partition that is cold.
func (r *Reader) Cold() <-chan struct{} { return r.cold }

// Abort ends the work of this process because of err.
func (r *Reader) Abort(err error) {
	r.mu.Lock()
	abort := r.abort
	r.mu.Unlock()
	abort(err)
}

// Work notes that this process works, until stop is called. Abort calls abort meanwhile.
func (r *Reader) Work(abort func(error)) (stop func()) {
	set := func(working bool, abort func(error)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.working, r.abort = working, abort
	}
	set(true, abort)
	return func() { set(false, func(error) {}) }
}

// Use notes that this process claims, holds or feeds something, or has a role. A process that
// works with a hot set that no other process uses has the roles, and so it vetoes.
func (r *Reader) Use() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.used) > usedFor {
		wait.Wake(r.busy)
	}
	r.used = time.Now()
}

// idle reports whether Use was not called for usedFor.
func (r *Reader) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.used) > usedFor
}

// Run reads the records again and again until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, readTimeout)
		if err := r.Refresh(short); err != nil {
			r.report.Error("read the records", err, "read again")
		}
		cancel()
		every := refreshEvery
		if k, _, _ := r.Last(); k.Exclusive {
			every = refreshAlone
		} else if r.idle() {
			every = refreshIdle
		}
		select {
		case <-ctx.Done():
		case <-r.busy:
		case <-time.After(every):
		}
	}
}

// Freshen reads the records if a caller that is about to rely on them would find them old.
// One caller reads them while the others go on, and it waits for FreshenTimeout at most. After
// a failure no caller tries again for twice that.
func (r *Reader) Freshen(ctx context.Context) {
	if !r.takeTurn() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, FreshenTimeout)
	defer cancel()
	if err := r.Refresh(ctx); err != nil {
		r.report.Error("read the records", err, "the hot set is told of far tasks too")
	}
}

// takeTurn reports whether the caller is to read the records now, and notes that it does.
func (r *Reader) takeTurn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	every := Trust / 2
	if r.away {
		every = 2 * FreshenTimeout
	}
	if wait.Elapsed(r.read) <= Trust/2 || wait.Elapsed(r.asked) <= every {
		return false
	}
	r.asked = time.Now()
	return true
}

// NoteLate notes that a read takes longer than its caller could wait.
func (r *Reader) NoteLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != nil {
		r.away = true
	}
}

// Last returns what is known, and how old that is; false: nothing is known.
func (r *Reader) Last() (k Known, age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, wait.Elapsed(r.read), r.known.identity != ""
}

// Standing is what is known of one partition.
type Standing struct {
	task.Generation
	Relied bool          // nothing is announced, and the records were read within Trust
	Known  bool          // something was read
	Age    time.Duration // since it was read
	Away   bool          // reads have failed since
	Since  time.Time     // Next was recorded then at the latest
	Text   string        // the record, as it stands
	Past   bool          // the process that recorded it has ended
}

// Partition returns what is known of partition p.
func (r *Reader) Partition(p int) (s Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Known, s.Away, s.Age = r.known.identity != "", r.away, wait.Elapsed(r.read); !s.Known {
		return s
	}
	s.Generation, s.Text, s.Past, s.Since = r.known.generations[p], r.known.texts[p], r.known.past[p], r.since[p]
	s.Relied = s.Age <= Trust && s.Next == (task.Place{}) && s.Current.Generation != 0
	return s
}
