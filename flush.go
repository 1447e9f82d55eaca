package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

func (o owed) String() string {
	return fmt.Sprintf("%d tasks are left to be added to the hot set, %d to be removed, and %d calls are under way", o.adds, o.removals, o.calls)
}

// owes returns what has been owed since then at the latest.
func (s *Scheduler) owes(then time.Time) owed {
	return owed{adds: s.later.count(then), removals: s.set.count(then), calls: s.set.calls.begun(then)}
}

func (s *Scheduler) flush(ctx context.Context) (owed, error) {
	began := time.Now()
	before, _ := s.trouble.left()
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for left := s.owes(began); left != (owed{}); left = s.owes(began) {
		s.later.retry.hurry()
		s.set.retry.hurry()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, errors.Join(ctx.Err(), s.trouble.since(began))
		}
	}
	if n, why := s.trouble.left(); n > before {
		return owed{}, fmt.Errorf("%d tasks were given up: %w", n-before, why)
	}
	return owed{}, nil
}

// giveUp forgets what waits, for a store or its client is closed. Calls that are under way
// are cut off first: what they say would come after the line that says that it is given up.
func (s *Scheduler) giveUp(err error) {
	s.later.retry.cut()
	s.set.retry.cut()
	left := owed{adds: s.later.clear(), removals: s.set.clear()}
	if left == (owed{}) {
		return
	}
	s.trouble.leave(left.adds+left.removals, err)
	s.report.Error("tell the hot set", err, "given up, for a store or its client is closed", "adds", left.adds, "removals", left.removals)
}

// lastFlush flushes at the end of Run, whose context ended then: until Drain is over, or a
// little longer. After that it ends the goroutines that try what is left, so that no line of
// theirs comes after Run has returned. What is left stays queued, for calls that come later.
func (s *Scheduler) lastFlush(ctx context.Context, ended time.Time) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(flushLeast, s.o.Drain-time.Since(ended)))
	defer cancel()
	left, err := s.flush(ctx)
	s.later.retry.halt()
	s.set.retry.halt()
	if left != (owed{}) {
		s.report.Error("flush", fmt.Errorf("%s: %w", left, err), "the auditor and the reaper of other processes find it", "adds", left.adds, "removals", left.removals)
	}
}

// trouble is why what waits could not be told, last, and how much was given up, and why.
type trouble struct {
	mu     sync.Mutex
	at     time.Time
	err    error
	gaveUp int
	why    error // of the last that was given up: a try that fails after that does not hide it
}

// note notes why a try has failed.
func (t *trouble) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at, t.err = time.Now(), err
}

// leave notes that n tasks were given up.
func (t *trouble) leave(n int, err error) {
	t.note(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaveUp, t.why = t.gaveUp+n, err
}

// left returns how many tasks were given up since the process began, and why the last were.
func (t *trouble) left() (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gaveUp, t.why
}

// since returns the last error, if it came then or later.
func (t *trouble) since(then time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.Before(then) {
		return nil
	}
	return t.err
}
