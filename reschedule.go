package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// Reschedule gives a task another due time, earlier or later, waiting or in
// flight: an old delivery can no longer confirm it, and its Context ends. Nil: the
// task fires at due, and not at its old time unless a worker had claimed it
// before. ErrNotFound: there is no such task (it may have been confirmed).
// ErrInvalid: the id or due breaks a rule, and nothing has changed. After any other
// error it may fire at either time or both, until this process has told the hot set,
// which it goes on trying.
//
// A row names the version that it had before, because who moved it may have died
// before the hot set was told. So at most one such version is there: before a row is
// moved on, what it was before is removed.
func (s *Scheduler) Reschedule(ctx context.Context, id string, due time.Time) error {
	dueMS, err := task.DueMS(due)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("reschedule: %w", err)
	}
	for {
		rows, err := s.store.Get(ctx, []string{id})
		if err != nil {
			return fmt.Errorf("reschedule: %w", err)
		}
		if len(rows) == 0 {
			return fmt.Errorf("reschedule: %w", &IDError{NotFound: []string{id}})
		}
		old, to := rows[0], rows[0]
		failpoint.Hit("reschedule/sweep")
		if prev, is := old.Prev(); is {
			if _, err := s.set.Remove(ctx, task.Partition(id, s.parts), "", []task.Ref{prev}); err != nil {
				return fmt.Errorf("reschedule: the version of before: %w", err)
			}
		}
		to.Ver, to.DueMS, to.ExecMS, to.Attempt = task.NewVer(), dueMS, dueMS, 0
		asOf := s.asOf(ctx, []task.Row{to})
		failpoint.Hit("reschedule/move")
		moved, err := s.store.Move(ctx, old.Ref, to)
		if errors.Is(err, ErrGone) {
			continue // a try whose answer was lost may have moved it, but it has gone further since
		}
		if err != nil {
			s.doubt([]task.Ref{old.Ref})
			s.addLater(near([]task.Row{to}, time.Now().Add(far).UnixMilli()))
			return fmt.Errorf("reschedule: %w", err)
		}
		if !moved {
			continue // somebody else did so at the same time: theirs came first
		}
		s.counts.rescheduled.Add(1)
		failpoint.Hit("reschedule/remove")
		_, err = s.set.Remove(ctx, task.Partition(id, s.parts), "", []task.Ref{old.Ref})
		failpoint.Hit("reschedule/add")
		s.addCreated(asOf)
		if err != nil {
			return fmt.Errorf("reschedule: the row is moved, the hot set is still to be told: %w", err)
		}
		failpoint.Hit("reschedule/end")
		return nil
	}
}
