package triggerhook

import (
	"context"
	"errors"
)

// changeContext is the context of a call that deletes or moves tasks. It ends as the caller's does, except because of ErrGone: the
// caller's may be that of a delivery, whose task is one of those, and this process may learn that the task is gone
// before the call has its answer.
type changeContext struct {
	context.Context                 // ends with the caller's deadline, or when cancel is called
	caller          context.Context // of the call
	timed           bool            // it has a deadline
	cancel          context.CancelCauseFunc
}

// unlessGone returns a changeContext, unless ctx has ended or never ends. The caller calls the returned function at the end.
func unlessGone(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil || ctx.Err() != nil {
		return ctx, func() {}
	}
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &changeContext{Context: own, caller: ctx, cancel: cancel}
	end := func() { cancel(nil) }
	if at, timed := ctx.Deadline(); timed {
		c.timed = true
		c.Context, end = context.WithDeadline(own, at)
	}
	stop := context.AfterFunc(ctx, c.follow)
	return c, func() {
		stop()
		end()
		cancel(nil)
	}
}

// follow ends c if the caller's context has ended, except because of ErrGone. At a deadline c ends by itself, with that error.
func (c *changeContext) follow() {
	err := c.caller.Err()
	late := c.timed && errors.Is(err, context.DeadlineExceeded)
	if err != nil && !late && !errors.Is(context.Cause(c.caller), ErrGone) {
		c.cancel(context.Cause(c.caller))
	}
}

// Err implements context.Context. It does not wait until a goroutine has called follow: pages ask between one and the next.
func (c *changeContext) Err() error {
	c.follow()
	return c.Context.Err()
}
