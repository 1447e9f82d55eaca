package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// flushEvery is how often Flush looks at what is left, and has it tried again.
	flushEvery = 50 * time.Millisecond
	// flushLeast is how long Run waits at least, after the drain of its consumer, until the
	// hot set has been told of everything.
	flushLeast = 2 * time.Second
)

// Flush waits until the hot set has been told of all changes of calls that have returned before.
// A change waits to be told if Redis or MySQL did not answer when a task was created,
// rescheduled, deleted or confirmed. While Run runs, a new or moved task may also wait for up to 100 ms, so that several
// share a call. Nil: no change waits any more. Run ends with a Flush of its own. A
// process without Run, for example one that only creates and deletes, calls Flush before it closes its
// stores.
//
// The error says how many tasks are left, and why. It matches ctx.Err() if ctx has ended; this
// process goes on trying then. It matches ErrClosed if a store, or the client of one, is closed; this
// process gives up then. No task is lost: the auditor of another process adds tasks that were not
// added, about 10 s late. A worker looks for the row of a task with a long payload, or one that
// has failed before, before it delivers it; another one whose Delete has returned an error may fire once.
func (s *Scheduler) Flush(ctx context.Context) error {
	if left, err := s.flush(ctx); err != nil {
		return fmt.Errorf("flush: %s: %w", left, err)
	}
	return nil
}

// unsent is how many changes the hot set has not been told of yet.
type unsent struct{ adds, removals, calls int }

// String says what is left, as the errors of Flush do.
func (u unsent) String() string {
	return fmt.Sprintf("%d tasks are left to be added to the hot set, %d to be removed, and %d calls are under way", u.adds, u.removals, u.calls)
}

// unsentSince returns the changes that have waited since then, or longer.
func (s *Scheduler) unsentSince(then time.Time) unsent {
	return unsent{adds: s.adds.PendingSince(then), removals: s.removals.PendingSince(then), calls: s.calls.BegunBy(then)}
}

func (s *Scheduler) flush(ctx context.Context) (unsent, error) {
	began := time.Now()
	before, _ := s.failures.GivenUp()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for left := s.unsentSince(began); left != (unsent{}); left = s.unsentSince(began) {
		s.adds.Hurry()
		s.removals.Hurry()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, errors.Join(ctx.Err(), s.failures.Since(began))
		}
	}
	if n, why := s.failures.GivenUp(); n > before {
		return unsent{}, fmt.Errorf("%d tasks were given up: %w", n-before, why)
	}
	return unsent{}, nil
}

// giveUp forgets all changes that wait, because a store or its client is closed. It cuts off the calls that
// are under way first, so that they log nothing after the line that says that all is given up.
func (s *Scheduler) giveUp(err error) {
	s.adds.Cut()
	s.removals.Cut()
	left := unsent{adds: s.adds.Clear(), removals: s.removals.Clear()}
	if left == (unsent{}) {
		return
	}
	s.failures.GiveUp(left.adds+left.removals, err)
	s.report.Error("tell the hot set", err, "given up, because a store or its client is closed", "adds", left.adds, "removals", left.removals)
}

// lastFlush flushes at the end of Run, whose context has ended at that time. It takes until Drain is
// over, or a little longer. After that it ends the goroutines that retry, so that they log
// nothing after Run has returned. The queues stay as they are, for calls that come later.
func (s *Scheduler) lastFlush(ctx context.Context, ended time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(flushLeast, s.o.Drain-time.Since(ended)))
	defer cancel()
	left, err := s.flush(ctx)
	s.adds.Halt()
	s.removals.Halt()
	if left != (unsent{}) {
		s.report.Error("flush", fmt.Errorf("%s: %w", left, err), "the auditor and the reaper of other processes find it", "adds", left.adds, "removals", left.removals)
	}
}
