// Package horizon knows how far ahead of its clock the hot set may reach, and which tasks are
// certainly beyond that.
package horizon

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// FarUntold: no horizon is further from the hot set's time than the effective window that the
// durable store records. A far task is due beyond that, and stays beyond it for as long as any
// process may add what it knows of the task (AsOfBeforeRead). No hot set holds a far task, so
// a creator need not add it and a deleter need not remove it (docs/model/far.pml).
//
// Protocol. Migrate announces Options.Window if nothing is recorded, and the first feeder makes
// it effective. A feeder with a larger Window announces that, waits for effectiveAfter, and
// makes it effective. Until then it goes as far as the effective window. It records how long it
// has waited, by its monotonic clock, and the next feeder goes on from there, because all
// processes may live for less than effectiveAfter. The recorded wait is never longer than the
// time since the announcement, however many feeders record it: each feeder adds to the wait that
// it has read only the time since it read it. Creators and deleters read the announced window,
// use it for windowMaxAge, and look at it and at the time after their commits.
const (
	// windowMaxAge is how long creators and deleters use an announced window that they have read.
	windowMaxAge = 30 * time.Second
	// farMargin is how much further than the announced window a task must be due to be far. It
	// is the sum of five terms, of which T is task.TombstoneTTL:
	//
	//	term                     bound   why
	//	age of an add            T       how long a process may add a row after it has read it
	//	clock that steps back    T       how far the hot set's time may fall
	//	age of Clock's answer    T/2     how old the time may be that Clock returns
	//	feeder's overshoot       T/2     how far beyond that time a feeder may set the horizon
	//	difference of clocks     10 s    between processes
	farMargin      = 3*task.TombstoneTTL + 10*time.Second
	effectiveAfter = windowMaxAge + farMargin
	// recordEvery is how often a feeder records how long it has waited.
	recordEvery = time.Second
	// firstWithin is how soon after a look that found nothing effective a generation must begin
	// to be the first of the namespace.
	firstWithin = time.Second
)

// Max is the largest legal Window.
const Max = 24 * time.Hour

// far is how far ahead of this process's own clock a task must be due to be far, if the hot set
// does not answer: the largest Window, and a day for the difference of clocks.
const far = 2 * Max

// Window is what this process knows of the recorded window, besides what the record.Reader
// knows.
type Window struct {
	own     time.Duration // Options.Window
	store   durable.Store
	records *record.Reader
	report  *report.Reporter

	mu     sync.Mutex
	sawMS  int64         // the largest announced window that it has read
	waited time.Duration // how long at least sawMS had been recorded when this process read it
	seen   time.Time     // when it read that

	first time.Time     // when this process looked, found nothing effective, and made its window effective
	began map[int]int64 // by partition: the first generation that this process has begun since then
}

// New returns a Window of own, which is Options.Window. It does no I/O.
func New(own time.Duration, store durable.Store, records *record.Reader, r *report.Reporter) *Window {
	return &Window{own: own, store: store, records: records, report: r}
}

// Length is Options.Window.
func (w *Window) Length() time.Duration { return w.own }

// read reads what is recorded.
func (w *Window) read(ctx context.Context) (task.Window, error) {
	if err := w.records.Refresh(ctx); err != nil {
		return task.Window{}, err
	}
	k, _, _ := w.records.Last()
	w.mu.Lock()
	defer w.mu.Unlock()
	recorded := time.Duration(k.Window.WaitedMS) * time.Millisecond
	if k.Window.AnnouncedMS > w.sawMS || k.Window.AnnouncedMS == w.sawMS && recorded > w.waited+time.Since(w.seen) {
		w.sawMS, w.waited, w.seen = k.Window.AnnouncedMS, recorded, time.Now()
	}
	return k.Window, nil
}

// swap records a window if old is what is recorded.
func (w *Window) swap(ctx context.Context, old, to task.Window) (bool, error) {
	return record.SwapValue(ctx, w.store, task.RecordWindow, old, to)
}

// Announce announces Options.Window if nothing is recorded.
func (w *Window) Announce(ctx context.Context) error {
	is, err := w.read(ctx)
	if err == nil && is == (task.Window{}) {
		_, err = w.swap(ctx, is, task.Window{AnnouncedMS: w.own.Milliseconds()})
	}
	return err
}

// Effective returns how far a feeder of this process may go now: Options.Window, or the effective
// window if that is less. It takes the next step that makes Options.Window effective.
func (w *Window) Effective(ctx context.Context) (time.Duration, error) {
	own := w.own.Milliseconds()
	if k, _, ok := w.records.Last(); ok && k.Window.EffectiveMS >= own {
		return w.own, nil
	}
	if err := w.Announce(ctx); err != nil { // a namespace that an older version has migrated
		return 0, err
	}
	looked := time.Now()
	is, err := w.read(ctx)
	if err != nil {
		return 0, err
	}
	to := w.next(is)
	if to != is {
		failpoint.Hit("feed/effective")
		swapped, err := w.swap(ctx, is, to)
		if err != nil {
			return 0, err
		}
		if swapped && is.EffectiveMS == 0 {
			w.mu.Lock()
			w.first, w.began = looked, map[int]int64{}
			w.mu.Unlock()
		}
		is, err = w.read(ctx)
		if err != nil {
			return 0, err
		}
	}
	return time.Duration(min(own, is.EffectiveMS)) * time.Millisecond, nil
}

// next returns what a feeder records in place of is.
func (w *Window) next(is task.Window) task.Window {
	own, to := w.own.Milliseconds(), is
	w.mu.Lock()
	waited := w.waited + time.Since(w.seen)
	w.mu.Unlock()
	if is.EffectiveMS == 0 {
		to.EffectiveMS = is.AnnouncedMS
	}
	switch {
	case is.AnnouncedMS < own:
		to.AnnouncedMS, to.WaitedMS = own, 0
		w.report.Info("Window is larger than any before, and is used after a while", "window_ms", own, "now_ms", to.EffectiveMS, "after_ms", effectiveAfter.Milliseconds())
	case to.EffectiveMS >= own:
	case waited >= effectiveAfter:
		to.EffectiveMS = own
	case waited-time.Duration(is.WaitedMS)*time.Millisecond >= recordEvery:
		to.WaitedMS = waited.Milliseconds()
	}
	if to.EffectiveMS == to.AnnouncedMS {
		to.WaitedMS = 0
	}
	return to
}

// Pending reports whether Options.Window is not effective yet. A feeder comes again within
// recordEvery then.
func (w *Window) Pending() (within time.Duration, pending bool) {
	k, _, ok := w.records.Last()
	return recordEvery, !ok || k.Window.EffectiveMS < w.own.Milliseconds()
}

// IsFirstGeneration reports whether the generation of p is the first of the namespace: a moment
// before it began, no feeder had loaded anything. There are no earlier claims then, so overdue rows
// may be loaded at once. It is true for at most one generation of each partition, in one process.
func (w *Window) IsFirstGeneration(p int, st task.PartitionStatus) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began == nil {
		return false
	}
	if _, begun := w.began[p]; st.New && !begun && wait.Elapsed(w.first) < firstWithin {
		w.began[p] = st.AsOf.Generation
	}
	return w.began[p] == st.AsOf.Generation
}

// FarAbove returns the due time above which tasks are far, if the hot set answered asOf that long
// ago. It returns task.MaxDue if the window is not known.
func (w *Window) FarAbove(asOf task.AsOf, ago time.Duration) int64 {
	k, age, _ := w.records.Last()
	if k.Window.AnnouncedMS == 0 || asOf.TimeUS == 0 || age > windowMaxAge {
		return task.MaxDue
	}
	return asOf.TimeUS/1000 + (ago + farMargin).Milliseconds() + k.Window.AnnouncedMS
}

// NearByLocalClock returns the rows that are near by this process's clock. It is for a process that
// the hot set does not answer.
func NearByLocalClock(rows []task.Row) []task.Row { return Near(rows, time.Now().Add(far).UnixMilli()) }

// Near returns the rows of which the hot set may hold a version, if aboveMS is what FarAbove
// returned. A row that was moved is one of them, because its previous version may be there.
func Near(rows []task.Row, aboveMS int64) []task.Row {
	isFar := func(r task.Row) bool { return r.NextMS > aboveMS && r.PrevVer == 0 }
	if !slices.ContainsFunc(rows, isFar) {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), isFar)
}
