package triggerhook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// Rule 6: no horizon is further from the hot set's time than the settled window that the
// durable store has recorded. So a task that is due beyond all of it is in no hot set: who
// creates it need not add it, and who deletes it need not remove it, if it also stays
// there for as long as others may add what they know of it (rule 3) (docs/model/far.pml).
//
// Protocol. Migrate announces Options.Window if nothing is recorded. The first feeder that
// comes settles it. A feeder with a larger Window announces that, waits settleAfter, and
// settles it; until then it goes as far as the settled one. It records how long it has
// waited, by its own monotonic clock, and the next feeder goes on from there: processes may
// all live for less than settleAfter. What is recorded is never more than the time since the
// announcement, however many feeders record, for each adds to what it has read only the
// time since it read it. Creators and deleters read the announced one, rely on it for
// trustWindow after that, and look at it and at the time after their commits.
const (
	trustWindow = 30 * time.Second
	// farMargin is the sum of:
	//
	//   - T: for so long others may add what they know of a row;
	//   - T: by that the told time falls at most when the server's clock steps back;
	//   - T/2: so old may the time be that Clock tells;
	//   - T/2: so far beyond the time that it was told the feeder goes;
	//   - 10 s: by that clocks may differ.
	farMargin   = 3*task.TombstoneTTL + 10*time.Second
	settleAfter = trustWindow + farMargin
	// waitedEvery is how often a feeder records how long it has waited.
	waitedEvery = time.Second
	// readFor bounds how long a caller waits for the window, and half of how long none
	// tries again.
	readFor = time.Second
	// firstFor is how soon after a look that found nothing settled a generation must begin
	// to be the first.
	firstFor = time.Second
)

// window is what this process knows of the recorded window, besides what it reads with the
// other records.
type window struct {
	mu     sync.Mutex
	sawMS  int64         // the largest announced window that it has read
	waited time.Duration // for so long at least that had been recorded
	seen   time.Time     // at this time

	first time.Time     // when this process looked, found nothing settled, and settled it
	began map[int]int64 // by partition, the generation that this process has begun since, the first of them
}

// readWindow reads what is recorded.
func (s *Scheduler) readWindow(ctx context.Context) (task.Window, error) {
	if err := s.records.now(ctx); err != nil {
		return task.Window{}, err
	}
	k, _, _ := s.records.last()
	w := &s.window
	w.mu.Lock()
	defer w.mu.Unlock()
	recorded := time.Duration(k.window.WaitedMS) * time.Millisecond
	if k.window.AnnouncedMS > w.sawMS || k.window.AnnouncedMS == w.sawMS && recorded > w.waited+time.Since(w.seen) {
		w.sawMS, w.waited, w.seen = k.window.AnnouncedMS, recorded, time.Now()
	}
	return k.window, nil
}

// swapWindow records a window if old is what is recorded.
func (s *Scheduler) swapWindow(ctx context.Context, old, to task.Window) (bool, error) {
	var before []byte
	if old != (task.Window{}) {
		before, _ = old.MarshalText()
	}
	after, err := to.MarshalText()
	if err != nil {
		return false, err
	}
	return s.store.SwapRecord(ctx, task.RecordWindow, string(before), string(after))
}

// recordWindow announces Window if nothing is recorded.
func (s *Scheduler) recordWindow(ctx context.Context) error {
	is, err := s.readWindow(ctx)
	if err == nil && is == (task.Window{}) {
		_, err = s.swapWindow(ctx, is, task.Window{AnnouncedMS: s.o.Window.Milliseconds()})
	}
	return err
}

// settle returns how far a feeder of this process may go now: Window, or what is settled.
func (s *Scheduler) settle(ctx context.Context) (time.Duration, error) {
	w, own := &s.window, s.o.Window.Milliseconds()
	if k, _, ok := s.records.last(); ok && k.window.SettledMS >= own {
		return s.o.Window, nil
	}
	if err := s.recordWindow(ctx); err != nil { // a namespace that an older version has migrated
		return 0, err
	}
	looked := time.Now()
	is, err := s.readWindow(ctx)
	if err != nil {
		return 0, err
	}
	to := s.nextWindow(is)
	if to != is {
		failpoint.Hit("feed/settle")
		swapped, err := s.swapWindow(ctx, is, to)
		if err != nil {
			return 0, err
		}
		if swapped && is.SettledMS == 0 {
			w.mu.Lock()
			w.first, w.began = looked, map[int]int64{}
			w.mu.Unlock()
		}
		is, err = s.readWindow(ctx)
		if err != nil {
			return 0, err
		}
	}
	return time.Duration(min(own, is.SettledMS)) * time.Millisecond, nil
}

// nextWindow returns what a feeder is to record in place of is.
func (s *Scheduler) nextWindow(is task.Window) task.Window {
	w, own, to := &s.window, s.o.Window.Milliseconds(), is
	w.mu.Lock()
	waited := w.waited + time.Since(w.seen)
	w.mu.Unlock()
	if is.SettledMS == 0 {
		to.SettledMS = is.AnnouncedMS
	}
	switch {
	case is.AnnouncedMS < own:
		to.AnnouncedMS, to.WaitedMS = own, 0
		s.report.Info("Window is larger than any before, and is used after a while", "window_ms", own, "now_ms", to.SettledMS, "after_ms", settleAfter.Milliseconds())
	case to.SettledMS >= own:
	case waited >= settleAfter:
		to.SettledMS = own
	case waited-time.Duration(is.WaitedMS)*time.Millisecond >= waitedEvery:
		to.WaitedMS = waited.Milliseconds()
	}
	if to.SettledMS == to.AnnouncedMS {
		to.WaitedMS = 0
	}
	return to
}

// settlePace is when a feeder is to come again at the latest, to settle its Window.
func (s *Scheduler) settlePace() time.Duration {
	if k, _, ok := s.records.last(); ok && k.window.SettledMS >= s.o.Window.Milliseconds() {
		return feedSteady
	}
	return waitedEvery
}

// unheld reports whether nobody can hold anything of p: its generation is the first of the
// namespace, for no feeder had loaded anything when this process was about to look, a
// moment before. It is the first for one process, and once.
func (s *Scheduler) unheld(p int, st task.PartitionStatus) bool {
	w := &s.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began == nil {
		return false
	}
	if _, again := w.began[p]; st.Fresh && !again && wait.Elapsed(w.first) < firstFor {
		w.began[p] = st.AsOf.Generation
	}
	return w.began[p] == st.AsOf.Generation
}

// knowRecords sees to it that the records are known that farAbove and the rule OneGeneration
// need: one caller reads them while the others go on, and waits no longer than readFor.
func (s *Scheduler) knowRecords(ctx context.Context) {
	if !s.records.due() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	err := s.records.now(ctx)
	s.report.Error("read the records", err, "the hot set is told of far tasks too")
}

// farAbove returns the due time above which tasks are far, if the hot set told that time
// so long ago; the last of all times if the window is not known.
func (s *Scheduler) farAbove(asOf task.AsOf, ago time.Duration) int64 {
	k, age, _ := s.records.last()
	if k.window.AnnouncedMS == 0 || asOf.TimeUS == 0 || age > trustWindow {
		return task.MaxDue
	}
	return asOf.TimeUS/1000 + (ago + farMargin).Milliseconds() + k.window.AnnouncedMS
}

// near are the rows of which the hot set may hold a version.
func near(rows []task.Row, aboveMS int64) []task.Row {
	far := func(r task.Row) bool { return r.DueMS > aboveMS && r.PrevVer == 0 }
	if !slices.ContainsFunc(rows, far) {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), far)
}
