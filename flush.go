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

// Flush waits until the hot set has been told of all that it is still to be told of by calls
// that have returned before: tasks that were created or rescheduled, deletions and confirms,
// while Redis or MySQL did not answer. Run ends with a Flush of its own; a process without
// Run, one that only creates and deletes for example, calls it before it closes its stores.
// Nil: nothing was left, or all of it is done.
//
// The error says how many tasks are left, and why. It matches ctx.Err() if ctx has ended, and
// this process goes on trying as before; it matches ErrClosed if a store, or the client of
// one, is closed, and then nothing is tried any more. What is left is not lost: the auditor of
// another process adds what was not added, 10 s late or so, and a worker looks most of what was not
// removed up in MySQL before it delivers it, but a task whose Delete has returned an error
// may fire once.
func (s *Scheduler) Flush(ctx context.Context) error {
	if left, err := s.flush(ctx); err != nil {
		return fmt.Errorf("flush: %s: %w", left, err)
	}
	return nil
}

// owed is what this process is still to tell the hot set.
type owed struct{ adds, removals, calls int }

// String says what is left, as the errors of Flush do.
func (o owed) String() string {
	return fmt.Sprintf("%d tasks are left to be added to the hot set, %d to be removed, and %d calls are under way", o.adds, o.removals, o.calls)
}

// owes returns what has been owed since then at the latest.
func (s *Scheduler) owes(then time.Time) owed {
	return owed{adds: s.adds.PendingSince(then), removals: s.removals.PendingSince(then), calls: s.calls.BegunBy(then)}
}

func (s *Scheduler) flush(ctx context.Context) (owed, error) {
	began := time.Now()
	before, _ := s.failures.GivenUp()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for left := s.owes(began); left != (owed{}); left = s.owes(began) {
		s.adds.Hurry()
		s.removals.Hurry()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, errors.Join(ctx.Err(), s.failures.Since(began))
		}
	}
	if n, why := s.failures.GivenUp(); n > before {
		return owed{}, fmt.Errorf("%d tasks were given up: %w", n-before, why)
	}
	return owed{}, nil
}

// giveUp forgets what waits, for a store or its client is closed. Calls that are under way
// are cut off first: what they say would come after the line that says that it is given up.
func (s *Scheduler) giveUp(err error) {
	s.adds.Cut()
	s.removals.Cut()
	left := owed{adds: s.adds.Clear(), removals: s.removals.Clear()}
	if left == (owed{}) {
		return
	}
	s.failures.GiveUp(left.adds+left.removals, err)
	s.report.Error("tell the hot set", err, "given up, for a store or its client is closed", "adds", left.adds, "removals", left.removals)
}

// lastFlush flushes at the end of Run, whose context ended then: until Drain is over, or a
// little longer. After that it ends the goroutines that try what is left, so that no line of
// theirs comes after Run has returned. What is left stays queued, for calls that come later.
func (s *Scheduler) lastFlush(ctx context.Context, ended time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(flushLeast, s.o.Drain-time.Since(ended)))
	defer cancel()
	left, err := s.flush(ctx)
	s.adds.Halt()
	s.removals.Halt()
	if left != (owed{}) {
		s.report.Error("flush", fmt.Errorf("%s: %w", left, err), "the auditor and the reaper of other processes find it", "adds", left.adds, "removals", left.removals)
	}
}
