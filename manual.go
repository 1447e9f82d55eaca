package triggerhook

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/triggerhook/triggerhook/internal/manual"
	"github.com/triggerhook/triggerhook/task"
)

func init() {
	manual.Of = func(scheduler any, now func() time.Time) (manual.Steps, error) {
		s := scheduler.(*Scheduler)
		return manual.Steps{
			Feed: s.stepRoles,
			Wrap: func(h manual.Handler) (manual.Handler, error) { return wrap(h, s.o.Middleware) },
			Deliver: func(ctx context.Context, h manual.Handler) (bool, error) {
				return s.consumer.Step(ctx, now, h)
			},
			Next: s.nextOffer,
		}, s.begin()
	}
}

// stepRoles does one round of each background role.
func (s *Scheduler) stepRoles(ctx context.Context) error {
	var errs []error
	for _, role := range []task.Role{task.Feeder, task.Reaper, task.Auditor} {
		_, err := s.elector.Once(ctx, role)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// nextOffer is when the next task is offered: the earliest of those that wait in the hot set, and of the rows that
// are due beyond its horizon.
func (s *Scheduler) nextOffer(ctx context.Context) (at time.Time, is bool, err error) {
	first := int64(math.MaxInt64)
	for p := range s.parts {
		st, err := s.set.State(ctx, p)
		if err != nil {
			return at, false, err
		}
		if st.Waiting > 0 {
			first = min(first, st.OldestMS)
		}
		rows, err := s.store.Scan(ctx, task.Cursor{NextMS: st.HorizonMS}, math.MaxInt64, 1, 0)
		if err != nil {
			return at, false, err
		}
		if len(rows) > 0 {
			first = min(first, rows[0].NextMS)
		}
	}
	if first < math.MaxInt64 { // no task is offered in a pause
		if first = max(first, s.records.Pause().UntilMS); first == task.MaxDue {
			return at, false, nil
		}
	}
	return time.UnixMilli(first).UTC(), first < math.MaxInt64, nil
}
