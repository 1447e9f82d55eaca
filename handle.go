package triggerhook

import (
	"context"
	"errors"
	"fmt"
)

// Handler handles one delivery. Nil confirms the delivery asynchronously, as Delivery.ConfirmAsync
// does: Handle does not wait for the row to be deleted before it calls the next Handler. Until it is, which may take 100 ms, and
// longer in a burst, the ID is not free: Create answers ErrExists. If the
// row was gone by then (ErrGone), the log says so at Info. An error fails the attempt, as Delivery.Fail
// does: the task is offered again after Options.Retry, or becomes a dead letter after the last attempt
// (Options.MaxAttempts). An error that is, or wraps, one of Snooze, Discard and RetryAfter says
// otherwise. A panic counts as an error with its stack, and so does the end of the goroutine
// (runtime.Goexit).
//
// The context is the delivery's (Delivery.Context), or what Options.Middleware derives from it: a
// Handler passes it on to what it calls, and stops when it ends, because another worker may have the task then.
// A Handler that deletes, reschedules or updates its own task may do so with it: the context ends because of that, and the call has
// its outcome all the same.
//
// A Handler may read and change the exported fields of its delivery, and hand it to other
// goroutines until it is settled. It may settle the delivery itself, with Confirm, ConfirmAsync, Fail or
// Rollback; then its own result changes nothing, and an error is only logged. It calls Confirm
// where it must know that the task is done.
// After it has returned, the delivery is Handle's.
type Handler func(context.Context, *Delivery) error

// Handle is Run with goroutines, as many as concurrency says, that call h for each delivery. It returns
// when all is drained, and what Run returns. h is wrapped in Options.Middleware. ErrInvalid: concurrency
// is below 1, h is nil, or a Middleware returned nil; nothing ran, and Handle may be called again.
//
// The context that h is given is that of the Delivery: its Deadline is Options.DeliveryTimeout after the hand-out, or what a
// Middleware makes of it. A handler that has run for Options.DeliveryTimeout is stuck: its task is offered again, a
// warning names it, and another goroutine works in its place. At most concurrency goroutines
// are started in place of others. A goroutine whose handler was stuck ends once that has returned and its
// delivery is settled. When ctx has ended Handle waits for Options.Drain, and 2 s longer for handlers
// whose contexts have ended by then. ErrAbandoned: some have not returned, and the error names their
// deliveries. They go on in goroutines of their own, and what they settle later is tried
// once. What was not settled was given back.
func (s *Scheduler) Handle(ctx context.Context, concurrency int, h Handler) error {
	if concurrency < 1 || h == nil {
		return fmt.Errorf("handle: %w: concurrency %d and handler nil=%t; at least 1 and a handler are needed", ErrInvalid, concurrency, h == nil)
	}
	h, err := wrap(h, s.o.Middleware)
	if err != nil {
		return fmt.Errorf("handle: %w", err)
	}
	if err := s.begin(); err != nil {
		return err
	}
	handlers := s.consumer.Handle(concurrency, h)
	err = s.run(ctx)
	if left := handlers.Stop(); left != nil {
		err = errors.Join(err, fmt.Errorf("handle: %w", left))
	}
	return err
}
