// Package manual lets package triggerhooktest run a Scheduler step by step, in one goroutine, so that the root
// package exports nothing for that.
package manual

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
)

// Steps are what a running Scheduler does by its timers.
type Steps struct {
	// Feed does a round of each background role: what is due soon is preloaded then.
	Feed func(ctx context.Context) error
	// Wrap wraps a handler in Options.Middleware.
	Wrap func(Handler) (Handler, error)
	// Deliver delivers one task that is due, and returns once it is settled. False: none is due.
	Deliver func(ctx context.Context, h Handler) (bool, error)
	// Next returns when the next unfinished task is to be offered. False: there is none.
	Next func(ctx context.Context) (time.Time, bool, error)
}

// Handler is triggerhook.Handler, which the root package has.
type Handler = func(context.Context, *consumer.Delivery) error

// Of begins the work of scheduler, which is a *triggerhook.Scheduler, so that its Run answers ErrRunning. now is
// the clock of its hot set, in whole milliseconds. The root package sets it.
var Of func(scheduler any, now func() time.Time) (Steps, error)
