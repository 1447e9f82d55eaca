package triggerhook

import (
	"context"
	"errors"
	"fmt"
)

// Handler handles one delivery: nil confirms it, an error rolls it back after
// Options.Backoff. Its context is the delivery's. If it has settled the delivery itself
// its result is only logged. A panic is an error with its stack, and so is the end of its
// goroutine (runtime.Goexit).
type Handler = func(context.Context, *Delivery) error

// Handle is Run with workers goroutines that call h for each delivery. It returns
// when all is drained, and what Run returns; ErrInvalid: no workers, or no h.
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
	if err := s.begin(); err != nil {
		return err
	}
	handlers := s.consumer.Handle(workers, h)
	err := s.run(ctx)
	if left := handlers.Stop(); left != nil {
		err = errors.Join(err, fmt.Errorf("handle: %w", left))
	}
	return err
}
