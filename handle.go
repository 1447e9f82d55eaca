package triggerhook

import (
	"context"
	"errors"
	"fmt"
)

// Handler handles one delivery. Nil confirms the delivery asynchronously, as Delivery.ConfirmAsync
// does: Handle does not wait for the row to be deleted before it calls the next Handler. If the
// row was gone by then (ErrGone), the log says so at Info. An error rolls the delivery back after
// Options.Backoff. A panic counts as an error with its stack, and so does the end of the goroutine
// (runtime.Goexit).
//
// The context is the delivery's (Delivery.Context), or what Options.Middleware derives from it: a
// Handler passes it on to what it calls, and stops when it ends, because another worker may have the task then.
//
// A Handler may read and change the exported fields of its delivery, and hand it to other
// goroutines until it is settled. It may settle the delivery itself, with Confirm, ConfirmAsync or
// Rollback; then its own result changes nothing, and an error is only logged. It calls Confirm
// where it must know that the task is done, and Rollback where the delay is not Options.Backoff's.
// After it has returned, the delivery is Handle's.
type Handler func(context.Context, *Delivery) error

// Handle is Run with workers goroutines that call h for each delivery. It returns
// when all is drained, and what Run returns. h is wrapped in Options.Middleware. ErrInvalid: no
// workers, no h, or a Middleware that returned nil; nothing ran, and Handle may be called again.
//
// A handler that has run for Options.DeliveryTimeout is stuck: its task is offered again, a
// warning names it, and another goroutine works in its place. At most workers goroutines
// are started so, and each stuck one that returns, and is answered, ends. When ctx has
// ended Handle waits for Options.Drain, and 2 s longer for handlers whose contexts have
// ended by then. ErrAbandoned: some have not returned, and the error names their
// deliveries; they go on in goroutines of their own, and what they answer later is tried
// once. What was not answered was given back.
func (s *Scheduler) Handle(ctx context.Context, workers int, h Handler) error {
	if workers < 1 || h == nil {
		return fmt.Errorf("handle: %w: %d workers and handler nil=%t; at least 1 and a handler are needed", ErrInvalid, workers, h == nil)
	}
	h, err := wrap(h, s.o.Middleware)
	if err != nil {
		return fmt.Errorf("handle: %w", err)
	}
	if err := s.begin(); err != nil {
		return err
	}
	handlers := s.consumer.Handle(workers, h)
	err = s.run(ctx)
	if left := handlers.Stop(); left != nil {
		err = errors.Join(err, fmt.Errorf("handle: %w", left))
	}
	return err
}
