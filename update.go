package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Change is what Update changes of a task. A field that is not set stays as it is.
type Change struct {
	Due     time.Time         // the new due time; the zero time leaves it
	Payload []byte            // the new payload; nil leaves it, an empty one that is not nil takes it away
	Headers map[string]string // the new headers, all of them; nil leaves them, an empty map that is not nil takes them away
}

// Update changes a task, waiting or in flight, as Reschedule does: an old delivery can no longer confirm it, and its
// Context ends. All that c sets is changed at once.
//
// Without a Due the task keeps its due time, and is offered at the time that its row has: at once, if it is due. If the task was waiting for a
// delay after a failure, a Rollback or a Snooze, that delay is lost, unless it ended beyond the window (Options.Window), and so is
// the count of the attempt that failed last.
//
// Nil: no delivery that begins from now on has the old due time, payload or headers, except one that a worker had claimed
// before. ErrNotFound: there is no such task (it may have been confirmed). ErrInvalid: id or c breaks a
// rule, c sets nothing, or Due is later than Task.Expires, which stays; nothing has changed. ErrTooLarge: the server does
// not take that size. After any other error the task may be delivered as it was, as it is to be, or both, until this process has
// changed the hot set; it goes on trying that.
func (s *Scheduler) Update(ctx context.Context, id string, c Change) error {
	e, err := s.checkChange(c)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	if err := s.edit(ctx, id, e); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	return nil
}

// checkChange checks c.
func (s *Scheduler) checkChange(c Change) (e edit, err error) {
	if c.Due.IsZero() && c.Payload == nil && c.Headers == nil {
		return e, fmt.Errorf("%w: the Change sets nothing", ErrInvalid)
	}
	e.payload = c.Payload
	if e.due = !c.Due.IsZero(); e.due {
		e.dueMS, err = task.DueMS(c.Due)
	}
	if len(c.Payload) > s.o.MaxPayload {
		err = errors.Join(err, s.payloadTooLong(c.Payload))
	}
	if c.Headers != nil {
		headers, wrong := task.EncodeHeaders(c.Headers)
		e.headers, err = &headers, errors.Join(err, wrong)
	}
	return e, err
}
