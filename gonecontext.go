package triggerhook

import (
	"context"
	"errors"
)

// unlessGone returns a context for a call that deletes or moves tasks. It ends as ctx does, except because of ErrGone while the
// call goes on: ctx may be that of a delivery, whose task is one of those, and the worker that has it in hand, this process, may learn of it
// before the call has its answer. The caller calls the returned function at the end.
func unlessGone(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil || ctx.Err() != nil {
		return ctx, func() {}
	}
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	end := func() { cancel(nil) }
	deadline, timed := ctx.Deadline()
	if timed {
		own, end = context.WithDeadline(own, deadline)
	}
	stop := context.AfterFunc(ctx, func() {
		late := timed && errors.Is(ctx.Err(), context.DeadlineExceeded) // own ends by itself then, with that error
		if !late && !errors.Is(context.Cause(ctx), ErrGone) {
			cancel(context.Cause(ctx))
		}
	})
	return own, func() {
		stop()
		end()
		cancel(nil)
	}
}
