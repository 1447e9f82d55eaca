package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// deliveryContext is the context of one delivery. Most handlers never wait for its end, so its channel and its timer are
// made at the first call of Done. The method end, and the deadline, end it with a cause.
//
// Invariants, under mu:
//
//	C1  The first end wins: what comes after the deadline, or after another end, changes neither Err nor the cause.
//	C2  Err is context.DeadlineExceeded, and the cause task.ErrTimeout, if and only if the deadline came first.
//	C3  A context that is looked at for the first time after its end says the same as one that was looked at before.
type deliveryContext struct {
	mu       sync.Mutex // taken after Consumer.mu
	deadline time.Time  // zero until the delivery is handed out
	cause    error      // of the first end, or task.ErrTimeout
	made     context.Context
	cancel   context.CancelCauseFunc // of made
}

// begin sets the deadline, when the delivery is handed out.
func (c *deliveryContext) begin(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = deadline
}

// end ends the context with cause, unless it has ended before.
func (c *deliveryContext) end(cause error) {
	c.mu.Lock()
	first := !c.endedByNow()
	if first {
		c.cause = cause
	}
	cancel := c.cancel
	c.mu.Unlock()
	if first && cancel != nil { // not under mu: it calls into contexts that are derived from c
		cancel(cause)
	}
}

// endedByNow reports whether the context has ended. If its deadline did that, it notes so. Under mu.
func (c *deliveryContext) endedByNow() bool {
	if c.cause == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		c.cause = task.ErrTimeout
	}
	return c.cause != nil
}

// build returns the context that has a channel and a timer. Under mu.
func (c *deliveryContext) build() context.Context {
	if c.made != nil {
		return c.made
	}
	ended := c.endedByNow()
	parent, cancel := context.WithCancelCause(context.Background())
	if ended && !errors.Is(c.cause, task.ErrTimeout) {
		cancel(c.cause)
	}
	made, stop := context.WithDeadlineCause(parent, c.deadline, task.ErrTimeout)
	c.made, c.cancel = made, func(cause error) {
		cancel(cause)
		stop()
	}
	return made
}

// endedWith reports whether ctx has ended because c has: it is c, or derived from it.
func (c *deliveryContext) endedWith(ctx context.Context) bool {
	c.mu.Lock()
	made := c.made
	c.mu.Unlock() // because ctx may be c
	return made != nil && made.Err() != nil && errors.Is(context.Cause(ctx), context.Cause(made))
}

// Deadline implements context.Context.
func (c *deliveryContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements context.Context.
func (c *deliveryContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.build().Done()
}

// Err implements context.Context.
func (c *deliveryContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil && !c.endedByNow() {
		return nil
	}
	return c.build().Err()
}

// Value implements context.Context. By it the package context finds the cause, and whatever is derived from c. There are no other values.
func (c *deliveryContext) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil && !c.endedByNow() {
		return nil
	}
	return c.build().Value(key)
}

// String names the context in the texts of contexts that are derived from it.
func (c *deliveryContext) String() string { return "Delivery.Context" }
