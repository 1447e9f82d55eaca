package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/task"
)

// Reschedule gives a task another due time, earlier or later, waiting or in
// flight: an old delivery can no longer confirm it, and its Context ends. Nil: the
// task fires at due, and not at its old time unless a worker had claimed it
// before. ErrNotFound: there is no such task (it may have been confirmed).
// ErrInvalid: the id or due breaks a rule (due is later than Task.Expires, which stays), and nothing has changed. After any other
// error the task may fire at either time or both, until this process has changed the
// hot set; it goes on trying that.
//
// A row names the version that it had before, because the process that moved it may have died
// before it removed that version from the hot set. At most one such version is there: before a row
// is moved again, its previous version is removed.
func (s *Scheduler) Reschedule(ctx context.Context, id string, due time.Time) error {
	dueMS, err := task.DueMS(due)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("reschedule: %w", err)
	}
	for moved := false; !moved; {
		if moved, err = s.move(ctx, id, dueMS); err != nil {
			return fmt.Errorf("reschedule: %w", err)
		}
	}
	return nil
}

// move moves the row of a task, and its member in the hot set. It returns false if another call
// moved the row at the same time.
func (s *Scheduler) move(ctx context.Context, id string, dueMS int64) (bool, error) {
	rows, err := s.store.Get(ctx, []string{id})
	if err != nil {
		return false, err
	}
	if len(rows) == 0 {
		return false, &IDError{NotFound: []string{id}}
	}
	p, old, to := task.Partition(id, s.parts), rows[0], rows[0]
	if old.ExpiresMS != 0 && dueMS > old.ExpiresMS {
		return false, fmt.Errorf("%w: due %s is later than task %q expires, %s", ErrInvalid, time.UnixMilli(dueMS).UTC().Format(time.RFC3339Nano),
			id, task.Expiry(old.ExpiresMS).Format(time.RFC3339Nano))
	}
	failpoint.Hit("reschedule/previous")
	if prev, is := old.Prev(); is { // so that there is never a third version
		if _, err := s.set.Remove(ctx, p, "", []task.Ref{prev}); err != nil {
			return false, fmt.Errorf("the previous version: %w", err)
		}
	}
	to.Ver, to.NextMS, to.DueMS, to.Attempt = task.NewVer(), dueMS, dueMS, 0
	parts := s.adds.Stamp(ctx, []task.Row{to}) // before the commit (AsOfBeforeRead)
	failpoint.Hit("reschedule/move")

	// The commit point (RowFirst). A crash before it leaves the task as it was. A crash after it
	// leaves the old member, which may fire once at its old time, and a row that the feeder or
	// the auditor adds at its new time. The next call that removes the task removes both versions.
	moved, err := s.store.Move(ctx, old.Ref, to)
	if errors.Is(err, ErrGone) {
		return false, nil // a try whose answer was lost may have moved it, but it was moved again since
	}
	if err != nil { // the outcome is unknown: the retries find out
		s.removals.EnqueueUncertain([]task.Ref{old.Ref})
		s.adds.Enqueue(horizon.NearByLocalClock([]task.Row{to}))
		return false, err
	}
	if !moved {
		return false, nil
	}
	s.counts.rescheduled.Add(1)
	failpoint.Hit("reschedule/remove")
	_, err = s.set.Remove(ctx, p, "", []task.Ref{old.Ref})
	failpoint.Hit("reschedule/add")
	s.adds.Add(parts)
	if err != nil {
		return true, fmt.Errorf("the row is moved, the hot set has not been told yet: %w", err)
	}
	failpoint.Hit("reschedule/end")
	return true, nil
}
