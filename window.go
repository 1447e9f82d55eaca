package triggerhook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// Rule 6: no horizon is further from the hot set's time than the settled window that the
// durable store has recorded. So a task that is due beyond all of it is in no hot set: who
// creates it need not add it, and who deletes it need not remove it, if it also stays
// there for as long as others may add what they know of it (rule 3) (docs/model/far.pml).
//
// Protocol. Migrate announces Options.Window if nothing is recorded. The first feeder that
// comes settles it. A feeder with a larger Window announces that, waits settleAfter, and
// settles it; until then it goes as far as the settled one. Creators and deleters read the
// announced one, rely on it for trustWindow after that, and look at it and at the time
// after their commits.
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
	// readFor bounds how long a caller waits for the window, and half of how long none
	// tries again.
	readFor = time.Second
	// firstFor is how soon after a look that found nothing settled a generation must begin
	// to be the first.
	firstFor = time.Second
)

// window is what this process knows of the recorded window.
type window struct {
	mu        sync.Mutex
	known     task.Window
	read      time.Time // when it was about to be read
	announced time.Time // since when at the latest known.AnnouncedMS is recorded
	tried     time.Time // when a caller tried to read it last

	first time.Time     // when this process looked, found nothing settled, and settled it
	began map[int]int64 // by partition, the generation that this process has begun since, the first of them
}

// elapsed is how long ago t was, by the monotonic clock or by the other one, which goes
// on while a machine is suspended.
func elapsed(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}

// readWindow reads what is recorded.
func (s *Scheduler) readWindow(ctx context.Context) (task.Window, error) {
	began := time.Now()
	is, err := s.store.Window(ctx)
	if err != nil {
		return is, err
	}
	w := &s.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if is.AnnouncedMS > w.known.AnnouncedMS {
		w.announced = time.Now()
	}
	if is.AnnouncedMS >= w.known.AnnouncedMS && is.SettledMS >= w.known.SettledMS && !began.Before(w.read) {
		w.known, w.read = is, began
	}
	return is, nil
}

// recordWindow announces Window if nothing is recorded.
func (s *Scheduler) recordWindow(ctx context.Context) error {
	is, err := s.store.Window(ctx)
	if err == nil && is == (task.Window{}) {
		own := s.o.Window.Milliseconds()
		_, err = s.store.SwapWindow(ctx, is, task.Window{AnnouncedMS: own})
	}
	return err
}

// settle returns how far a feeder of this process may go now: Window, or what is settled.
func (s *Scheduler) settle(ctx context.Context) (time.Duration, error) {
	w, own := &s.window, s.o.Window.Milliseconds()
	w.mu.Lock()
	done := w.known.SettledMS >= own
	w.mu.Unlock()
	if done {
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
	w.mu.Lock()
	since := w.announced
	w.mu.Unlock()
	to := is
	if is.SettledMS == 0 {
		to.SettledMS = is.AnnouncedMS
	}
	if is.AnnouncedMS < own {
		to.AnnouncedMS = own
		s.report.Info("Window is larger than any before, and is used after a while", "window_ms", own, "now_ms", to.SettledMS, "after_ms", settleAfter.Milliseconds())
	} else if to.SettledMS < own && time.Since(since) >= settleAfter {
		to.SettledMS = own
	}
	if to != is {
		failpoint.Hit("feed/settle")
		swapped, err := s.store.SwapWindow(ctx, is, to)
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

// unheld reports whether nobody can hold anything of p: its generation is the first of the
// namespace, for no feeder had loaded anything when this process was about to look, a
// moment before. It is the first for one process, and once.
func (s *Scheduler) unheld(p int, st task.Feeding) bool {
	w := &s.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began == nil {
		return false
	}
	if _, again := w.began[p]; st.Fresh && !again && elapsed(w.first) < firstFor {
		w.began[p] = st.AsOf.Generation
	}
	return w.began[p] == st.AsOf.Generation
}

// knowWindow sees to it that the window is known that farAbove needs: one caller reads it
// while the others go on, and waits no longer than readFor.
func (s *Scheduler) knowWindow(ctx context.Context) {
	w := &s.window
	w.mu.Lock()
	mine := elapsed(w.read) > trustWindow/2 && elapsed(w.tried) > 2*readFor
	if mine {
		w.tried = time.Now()
	}
	w.mu.Unlock()
	if !mine {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	_, err := s.readWindow(ctx)
	s.report.Error("read the window", err, "the hot set is told of far tasks too")
}

// farAbove returns the due time above which tasks are far, if the hot set told that time
// so long ago; the last of all times if the window is not known.
func (s *Scheduler) farAbove(asOf task.AsOf, ago time.Duration) int64 {
	w := &s.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known.AnnouncedMS == 0 || asOf.TimeUS == 0 || elapsed(w.read) > trustWindow {
		return task.MaxDue
	}
	return asOf.TimeUS/1000 + (ago + farMargin).Milliseconds() + w.known.AnnouncedMS
}

// near are the rows of which the hot set may hold a version.
func near(rows []task.Row, aboveMS int64) []task.Row {
	far := func(r task.Row) bool { return r.DueMS > aboveMS && r.PrevVer == 0 }
	if !slices.ContainsFunc(rows, far) {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), far)
}
