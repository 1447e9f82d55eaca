// Package verdict has the errors by which a handler says what is to become of its task. The root package makes them for
// users (Snooze, Discard, RetryAfter), and the consumer acts upon them.
package verdict

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Act is what is to become of a task after its handler returned an error.
type Act int

// The acts. Retry is what an error says that has no verdict in it.
const (
	Retry      Act = iota // the attempt failed: the policy says when the task is offered again
	RetryAfter            // the attempt failed: the task is offered again after Delay
	Snooze                // the attempt does not count: the task is offered again after Delay
	Discard               // the task becomes a dead letter
)

// Verdict is an error that names an act. The zero one is Retry.
type Verdict struct {
	Act    Act           // what is to become of the task
	Delay  time.Duration // of RetryAfter and Snooze; one that is not positive is none
	Reason string        // of Discard
}

// Error says the act.
func (v *Verdict) Error() string {
	switch v.Act {
	case Snooze:
		return fmt.Sprintf("snoozed for %s", v.Delay)
	case Discard:
		return "discarded: " + v.Reason
	default:
		return fmt.Sprintf("retry after %s", v.Delay)
	}
}

// Of returns the verdict in err: the first one that errors.As finds, or Retry.
func Of(err error) Verdict {
	var v *Verdict
	if errors.As(err, &v) && v != nil {
		return *v
	}
	return Verdict{}
}

// Gone reports whether a handler returned err because its task was gone: ctx is the delivery's context, or derived from it.
func Gone(ctx context.Context, err error) bool {
	return err != nil && (errors.Is(err, task.ErrGone) || errors.Is(context.Cause(ctx), task.ErrGone))
}
