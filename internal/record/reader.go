// Package record reads and writes the records of a namespace: what its processes record about
// the hot set in the durable store. They say which generation of each partition is current,
// how far the horizon may reach, and how long a lease may be.
//
// OneGeneration: one generation of each partition is current, on one server, and the durable store
// records which. A generation that is no longer current has no effect (docs/design.md;
// docs/model/servers.pml).
//
// Protocol. Records are usable for MaxAge after a process began to read them, and only if they
// have no announcement. A process that wants to take over from another server announces that,
// waits for Hold, and makes it effective. Only then the new generation begins. Hold is longer
// than MaxAge, so every process has stopped to use the generation before by then.
//
//	Delete    needs records that are usable, or were read, at a moment after its row was deleted
//	a claim   needs records that are usable before it is sent and after it has returned
//	a veto    If a worker meets an announcement of another server while the current generation
//	          answers it, the worker takes the announcement back. So the hot set does not
//	          move while any process works with it.
package record

import (
	"context"
	"encoding"
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
	// MaxAge is how old records may be that a process uses.
	MaxAge = 1500 * time.Millisecond
	// Hold is how long an announcement is recorded before it may become effective. It is longer
	// than MaxAge, by more than the rates of two clocks may differ.
	Hold = 2 * time.Second
	// refreshEvery is how often a worker reads the records while it uses them: often enough that
	// they are not older than MaxAge, and that it can veto an announcement. refreshIdle is how
	// often a worker reads them that has not used them for usedFor, until it uses them again.
	// refreshAlone is how often a process reads them that alone can change them.
	refreshEvery = time.Second
	refreshIdle  = 8 * time.Second
	usedFor      = 3 * time.Second
	refreshAlone = 5 * time.Second
	// readTimeout bounds one read.
	readTimeout = 5 * time.Second
	// RefreshIfOldTimeout is how long RefreshIfOld waits for the records.
	RefreshIfOldTimeout = time.Second
	// vetoWait bounds the question whether the current generation answers.
	vetoWait = 500 * time.Millisecond
)

// Reader has the records as this process has read them last, and tells its hot set of them (Expect).
//
// Invariant: there is one read at a time, so what is known never becomes older. After a write of
// its own a process reads the records again. It never assumes the effect of a write.
//
// A goroutine exists only while a read is under way.
type Reader struct {
	store  durable.Store
	set    hotset.Set // is asked whether the current generation answers, and gets what is read (Expect)
	parts  int
	report *report.Reporter

	pauseLogged bool // a pause is logged, and its end is not; of readOnce

	mu       sync.Mutex
	known    Known
	read     time.Time     // when the last read that succeeded was about to begin
	started  int           // reads so far
	finished int           // the last read that has ended
	err      error         // the result of that read
	reading  chan struct{} // closed when the read under way ends
	asked    time.Time     // when RefreshIfOld last began a read
	away     bool          // a read has failed or taken too long, and none has succeeded since
	working  bool          // this process works, so it vetoes
	used     time.Time     // when this process last claimed, held or fed something, or had a role
	busy     chan struct{} // has an element once this process uses the records after it has not for usedFor
	since    []time.Time   // by partition: the announcement was recorded then, or before
	abort    func(error)   // ends the work of this process: the hot set belongs to another durable store
	cold     chan struct{} // has an element once a call has met a partition that is cold
	// pauseNoted has an element once another pause was read than before.
	pauseNoted chan struct{}
	txUsed     chan struct{} // has an element once a note that transactions of callers are in use was read
}

// Known is one reading of the records.
type Known struct {
	Window    task.Window // zero: none is recorded
	Lease     task.Lease  // zero: none is recorded
	Pause     task.Pause  // zero: none is recorded
	TxUse     string      // the last note that transactions of callers are in use; empty: there was none
	Exclusive bool        // the store is this process's alone

	identity    string
	generations []task.Generation
	texts       []string // the same, as they are recorded
	past        []bool   // by partition: the process that recorded the generation has ended
}

// NewReader returns a Reader that knows nothing yet. It does no I/O.
func NewReader(store durable.Store, set hotset.Set, r *report.Reporter) *Reader {
	parts := set.Config().Partitions
	return &Reader{store: store, set: set, parts: parts, report: r, busy: make(chan struct{}, 1), cold: make(chan struct{}, 1), txUsed: make(chan struct{}, 1), pauseNoted: make(chan struct{}, 1),
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

// readOnce reads the records, vetoes announcements if need be, and notes what is known then.
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
		err = r.expect(k)
	}
	if err == nil {
		r.veto(ctx, k)
		r.logPause(k.Pause, time.Now())
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

// parse returns what the records say.
func (r *Reader) parse(all task.Records) (k Known, err error) {
	if k.identity = all.Identity(); k.identity == "" {
		return k, fmt.Errorf("%w: no identity is recorded", task.ErrNotMigrated)
	}
	k.Exclusive, k.TxUse = all.Past != nil, all.Values[task.RecordTxUse]
	var e1, e2, e3 error
	k.Window, e1 = all.Window()
	k.Lease, e2 = all.Lease()
	k.Pause, e3 = all.Pause()
	err = errors.Join(e1, e2, e3)
	for p := range r.parts {
		g, e := all.Generation(p)
		err = errors.Join(err, e)
		name := task.GenerationName(p)
		k.generations, k.texts, k.past = append(k.generations, g), append(k.texts, all.Values[name]), append(k.past, all.Past[name])
	}
	return k, err
}

// expect tells the hot set what is recorded: which generations are current, and the pause.
func (r *Reader) expect(k Known) error {
	e := task.Expected{Identity: k.identity, Pause: k.Pause}
	for _, g := range k.generations {
		e.Generations = append(e.Generations, g.Current.Generation)
	}
	err := r.set.Expect(e)
	r.Observe(err)
	return err
}

// note notes what a read has returned that began at that time. Under mu.
func (r *Reader) note(k Known, began time.Time) {
	for p, g := range k.generations {
		if r.known.generations == nil || r.known.generations[p].Next != g.Next {
			r.since[p] = time.Now()
		}
	}
	if k.TxUse != r.known.TxUse {
		wait.Wake(r.txUsed)
	}
	if k.Pause.Seq != r.known.Pause.Seq {
		wait.Wake(r.pauseNoted)
	}
	r.known, r.read = k, began
}

// veto takes announcements back, if this process works with the current generation and that
// generation answers.
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

// Swap records to for partition p, if old is what is recorded. It returns to as text, and
// whether that is recorded now.
func (r *Reader) Swap(ctx context.Context, p int, old string, to task.Generation) (text string, swapped bool, err error) {
	b, err := to.MarshalText()
	if err != nil {
		return "", false, err
	}
	swapped, err = r.store.SwapRecord(ctx, task.GenerationName(p), old, string(b))
	return string(b), swapped, err
}

// textValue is a value that is recorded as a text. Its zero value stands for no record.
type textValue interface {
	comparable
	encoding.TextMarshaler
}

// SwapValue records to under name, if old is what is recorded, and reports whether it has.
func SwapValue[T textValue](ctx context.Context, store durable.Store, name string, old, to T) (swapped bool, err error) {
	var none T
	var before []byte
	if old != none {
		if before, err = old.MarshalText(); err != nil {
			return false, err
		}
	}
	after, err := to.MarshalText()
	if err != nil {
		return false, err
	}
	return store.SwapRecord(ctx, name, string(before), string(after))
}

// Observe looks at the error of a call to the hot set. If the hot set belongs to another durable
// store, Observe ends the work of this process. If a partition is cold, it wakes the feeder.
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

// TxUsed has an element once a note that transactions of callers are in use was read for the first time.
func (r *Reader) TxUsed() <-chan struct{} { return r.txUsed }

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

// Use notes that this process claims, holds or feeds something, or has a role. If only one
// process works with a hot set, that process has the roles, and so it vetoes.
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
		wait.ForWake(ctx, every, r.busy)
	}
}

// RefreshIfOld reads the records if they are older than half of MaxAge. One caller reads them while
// the others go on, and it waits for RefreshIfOldTimeout at most. After a failure no caller tries
// again for twice that.
func (r *Reader) RefreshIfOld(ctx context.Context) {
	if !r.takeTurn() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, RefreshIfOldTimeout)
	defer cancel()
	if err := r.Refresh(ctx); err != nil {
		r.report.Error("read the records", err, "the hot set is told of far tasks too")
	}
}

// takeTurn reports whether this caller reads the records now, and notes that it does.
func (r *Reader) takeTurn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	every := MaxAge / 2
	if r.away {
		every = 2 * RefreshIfOldTimeout
	}
	if wait.Elapsed(r.read) <= MaxAge/2 || wait.Elapsed(r.asked) <= every {
		return false
	}
	r.asked = time.Now()
	return true
}

// NoteLate notes that the read under way takes longer than its caller could wait.
func (r *Reader) NoteLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != nil {
		r.away = true
	}
}

// Last returns the records that were read last, and how old they are. False: none were read.
func (r *Reader) Last() (k Known, age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, wait.Elapsed(r.read), r.known.identity != ""
}

// Partition is the record of one partition, as it was read last.
type Partition struct {
	task.Generation
	Usable bool          // it has no announcement, and is not older than MaxAge
	Known  bool          // it was read
	Age    time.Duration // since it was read
	Away   bool          // reads have failed since
	Since  time.Time     // Next was recorded then, or before
	Text   string        // the record as it is in the store
	Past   bool          // the process that recorded it has ended
}

// Partition returns the record of partition p, as it was read last.
func (r *Reader) Partition(p int) (s Partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Known, s.Away, s.Age = r.known.identity != "", r.away, wait.Elapsed(r.read); !s.Known {
		return s
	}
	s.Generation, s.Text, s.Past, s.Since = r.known.generations[p], r.known.texts[p], r.known.past[p], r.since[p]
	s.Usable = s.Age <= MaxAge && s.Next == (task.Place{}) && s.Current.Generation != 0
	return s
}
