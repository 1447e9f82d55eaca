package triggerhook

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

// The rule OneGeneration: of each partition one generation counts, on one server, and that
// is what the durable store records. A generation that counts no longer takes no effect
// (docs/design.md; docs/model/servers.pml).
//
// Protocol. A process relies on what it has read for trust after it began to read, and only
// if nothing was announced by then. Whoever wants to take over from another server announces
// that, waits hold, and settles it; only then the new generation begins. As hold is longer
// than trust, whatever anybody did in reliance on the generation before was done by then.
//
//	Delete    goes by records that are relied upon at a moment after its row was deleted
//	a claim   goes by records that are relied upon before it is sent and after it is answered
//	veto      a worker that meets an announcement of another server, while the generation that
//	          counts answers it, takes the announcement back: so nothing changes its place
//	          while anybody works with it
const (
	trust = 1500 * time.Millisecond
	// hold is longer than trust, by what the rates of two clocks may differ, and more.
	hold = 2 * time.Second
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
	// vetoWait bounds the question whether the generation that counts answers.
	vetoWait = 500 * time.Millisecond
)

// records is what this process knows of what the durable store records, and what it has told
// its hot set of that.
//
// Invariant: reads follow one another, so what is known never becomes older. What this
// process records itself it reads again, and does not note by itself.
//
// A goroutine exists only while a read is under way.
type records struct {
	store  durable.Store
	set    hotset.Set // asked whether the generation that counts answers; told what is read
	parts  int
	report *report.Reporter

	mu       sync.Mutex
	known    known
	read     time.Time     // when the last read that succeeded was about to begin
	started  int           // reads so far
	finished int           // the last of them that has ended
	err      error         // what that ended with
	reading  chan struct{} // closed when the one under way ends
	tried    time.Time     // when a caller was told last that it is to read them
	away     bool          // a read failed or took too long, and none has succeeded since
	working  bool          // this process works, so it vetoes
	used     time.Time     // when this process last claimed, held or fed something, or had a role
	busy     chan struct{} // has an element once it was used after it had been idle
	since    []time.Time   // by partition: at the latest then what is announced was recorded
	apart    func(error)   // ends the process's work: the hot set is another durable store's
	cold     chan struct{} // has an element once a call has met a partition that is cold
}

// known is one reading of the records.
type known struct {
	identity    string
	window      task.Window
	lease       task.Lease // zero: none is recorded
	generations []task.Generation
	texts       []string // the same, as they stand
	past        []bool   // by partition: whoever recorded it has ended
	exclusive   bool     // the store is this process's alone
}

func newRecords(store durable.Store, set hotset.Set, parts int, r *report.Reporter) *records {
	return &records{store: store, set: set, parts: parts, report: r, busy: make(chan struct{}, 1), cold: make(chan struct{}, 1), since: make([]time.Time, parts), apart: func(error) {}}
}

// now reads the records, or waits for a read that begins after the call does.
func (r *records) now(ctx context.Context) error {
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
func (r *records) readOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	began := time.Now()
	all, err := r.store.Records(ctx)
	var k known
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

func (r *records) parse(all task.Records) (k known, err error) {
	if k.identity = all.Identity(); k.identity == "" {
		return k, fmt.Errorf("%w: no identity is recorded", ErrNotMigrated)
	}
	k.exclusive = all.Past != nil
	var e1, e2 error
	k.window, e1 = all.Window()
	k.lease, e2 = all.Lease()
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
func (r *records) tell(k known) error {
	e := task.Expected{Identity: k.identity}
	for _, g := range k.generations {
		e.Generations = append(e.Generations, g.Counts.Generation)
	}
	err := r.set.Expect(e)
	r.meets(err)
	return err
}

// note notes what was read, by a read that was about to begin then. Under mu.
func (r *records) note(k known, began time.Time) {
	for p, g := range k.generations {
		if r.known.generations == nil || r.known.generations[p].Next != g.Next {
			r.since[p] = time.Now()
		}
	}
	r.known, r.read = k, began
}

// veto takes back what is announced, where this process works with the generation that
// counts, and that answers.
func (r *records) veto(ctx context.Context, k known) {
	r.mu.Lock()
	working := r.working
	r.mu.Unlock()
	for p, g := range k.generations {
		if !working || g.Next == (task.Place{}) || g.Counts.Generation == 0 {
			continue
		}
		short, cancel := context.WithTimeout(ctx, vetoWait)
		st, err := r.set.State(short, p)
		cancel()
		if err != nil || st.AsOf.Generation != g.Counts.Generation {
			continue
		}
		is := task.Generation{Counts: g.Counts}
		failpoint.Hit("veto/swap")
		text, swapped, err := r.swap(ctx, p, k.texts[p], is)
		r.report.Error("keep the hot set where it is", err, "tried again", "partition", p)
		if swapped {
			r.report.Info("kept the hot set where it is: its server answers", "partition", p, "server", g.Counts.Server, "announced", g.Next.Server)
			k.generations[p], k.texts[p] = is, text
			failpoint.Hit("veto/end")
		}
	}
}

// swap records to for partition p, if what is recorded still reads old.
func (r *records) swap(ctx context.Context, p int, old string, to task.Generation) (text string, swapped bool, err error) {
	b, err := to.MarshalText()
	if err != nil {
		return "", false, err
	}
	swapped, err = r.store.SwapRecord(ctx, task.GenerationName(p), old, string(b))
	return string(b), swapped, err
}

// meets ends the process's work if err says that the hot set is another durable store's, and
// has the feeder look if it says that a partition is cold.
func (r *records) meets(err error) {
	if errors.Is(err, task.ErrCold) {
		wait.Wake(r.cold)
	}
	if errors.Is(err, ErrMismatch) {
		r.end(err)
	}
}

// end ends the process's work, because of err.
func (r *records) end(err error) {
	r.mu.Lock()
	apart := r.apart
	r.mu.Unlock()
	apart(err)
}

// work notes that this process works, until it calls stop; apart is called when it is to end.
func (r *records) work(apart func(error)) (stop func()) {
	set := func(working bool, apart func(error)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.working, r.apart = working, apart
	}
	set(true, apart)
	return func() { set(false, func(error) {}) }
}

// use notes that this process claims, holds or feeds something, by what the records say, or
// has a role: whoever works with a hot set that nobody uses has the roles, and vetoes.
func (r *records) use() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.used) > usedFor {
		wait.Wake(r.busy)
	}
	r.used = time.Now()
}

// idle reports whether it has not done that for usedFor.
func (r *records) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.used) > usedFor
}

// refresh reads the records again and again until ctx ends.
func (r *records) refresh(ctx context.Context) {
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, readTimeout)
		r.report.Error("read the records", r.now(short), "read again")
		cancel()
		every := refreshEvery
		if k, _, _ := r.last(); k.exclusive {
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

// last returns what is known, and how old that is; false: nothing is.
func (r *records) last() (k known, age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known, wait.Elapsed(r.read), r.known.identity != ""
}

// standing is what is known of one partition.
type standing struct {
	task.Generation
	relied bool // nothing is announced, and it was read within trust
	known  bool // something was read
	age    time.Duration
	away   bool      // reads have failed since
	since  time.Time // at the latest then Next was recorded
	text   string
	past   bool
}

func (r *records) of(p int) (s standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.known, s.away, s.age = r.known.identity != "", r.away, wait.Elapsed(r.read); !s.known {
		return s
	}
	s.Generation, s.text, s.past, s.since = r.known.generations[p], r.known.texts[p], r.known.past[p], r.since[p]
	s.relied = s.age <= trust && s.Next == (task.Place{}) && s.Counts.Generation != 0
	return s
}

// due reports whether a caller is to read the records before it goes on: one at a time, and
// after a failure not soon again.
func (r *records) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	every := trust / 2
	if r.away {
		every = 2 * readFor
	}
	if wait.Elapsed(r.read) <= trust/2 || wait.Elapsed(r.tried) <= every {
		return false
	}
	r.tried = time.Now()
	return true
}

// late notes that a read took longer than its caller could wait.
func (r *records) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != nil {
		r.away = true
	}
}
