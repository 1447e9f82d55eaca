package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/triggerhook/triggerhook/internal/verdict"
	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/task"
)

// afterFailure is what becomes of a delivery whose attempt failed: it is given back, or its task becomes a dead letter.
type afterFailure struct {
	bury   bool   // the task becomes a dead letter; otherwise it is given back
	reason string // of the dead letter: task.Reason...
	text   string // the last error of the dead letter
	back   redelivery
}

// redelivery says how a task that is given back is offered again.
type redelivery struct {
	delay   time.Duration
	counted bool // the delivery that ended counts as an attempt
}

// attempts is how many attempts have failed once d is given back so.
func (r redelivery) attempts(d *Delivery) int {
	if r.counted {
		return d.failedAttempts + 1
	}
	return d.failedAttempts
}

// fail calls then with what becomes of d, whose attempt failed with cause. The verdict in cause comes first; then
// MaxAttempts; then Options.Retry, which is the caller's code and runs in this goroutine.
func (c *Consumer) fail(d *Delivery, cause error, then func(afterFailure)) {
	v := verdict.Of(cause)
	switch {
	case v.Act == verdict.Snooze:
		then(afterFailure{back: redelivery{delay: v.Delay}})
	case v.Act == verdict.Discard:
		then(afterFailure{bury: true, reason: discarded(v.Reason), text: textOf(cause)})
	case c.lastAttempt(d):
		then(afterFailure{bury: true, reason: task.ReasonAttempts, text: textOf(cause)})
	case v.Act == verdict.RetryAfter:
		then(afterFailure{back: redelivery{v.Delay, true}})
	default:
		c.retryDelay(d, cause, func(delay time.Duration) { then(afterFailure{back: redelivery{delay, true}}) })
	}
}

// lastAttempt reports whether d is the last attempt that MaxAttempts allows.
func (c *Consumer) lastAttempt(d *Delivery) bool {
	return c.o.MaxAttempts > 0 && d.failedAttempts+1 >= c.o.MaxAttempts
}

// retryDelay calls then with the delay that Options.Retry answers. If the policy panics, ends its goroutine, or answers a delay
// that is not between 1 ns and retrypolicy.MaxDelay, retryDelay uses the default delay and reports that.
func (c *Consumer) retryDelay(d *Delivery, cause error, then func(time.Duration)) {
	f := retrypolicy.Failure{Task: d.asClaimed(), Attempt: d.failedAttempts + 1, Err: cause}
	delay := retrypolicy.Exponential{}.Delay(f)
	if c.o.Retry == nil {
		then(delay)
		return
	}
	err := errors.New("it ended its goroutine (runtime.Goexit)") // unless Delay returns or panics
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			err = fmt.Errorf("%w: Options.Retry, task %q, attempt %d: %w", task.ErrInvalid, d.own.ID, f.Attempt, err)
		}
		c.o.Report.Error("ask for a delay", err, "the default delay is used")
		then(delay)
	}()
	answer := c.o.Retry.Delay(f)
	if err = nil; answer <= 0 || answer > retrypolicy.MaxDelay {
		err = fmt.Errorf("it answered %s, allowed are 1ns to %s", answer, retrypolicy.MaxDelay)
		return
	}
	delay = answer
}

// asClaimed is the task of d with the ID and the due time that were claimed: a handler may have changed its fields.
func (d *Delivery) asClaimed() task.Task {
	t := d.Task
	t.ID, t.Due = d.own.ID, time.UnixMilli(d.dueMS).UTC()
	return t
}

// discarded is the reason of a dead letter that a caller has discarded.
func discarded(reason string) string {
	if reason == "" {
		return task.ReasonDiscarded
	}
	return task.CutText(task.ReasonDiscarded+": "+reason, task.MaxReason)
}

// textOf is the text of a handler's error, as a dead letter keeps it. The method Error is the caller's code, too.
func textOf(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = task.CutText(fmt.Sprintf("%T, the method Error of which panicked: %v", err, p), task.MaxLastError)
		}
	}()
	return task.CutText(err.Error(), task.MaxLastError)
}

// Fail says that the attempt failed with cause, which must not be nil. It does what Handle does for a Handler that
// returned cause. A Snooze postpones the task, and the attempt does not count. A Discard makes it a dead letter, and so
// does any other cause in the last attempt of Options.MaxAttempts. Otherwise the task is offered again after the delay of
// a RetryAfter, or that of Options.Retry, which Fail calls in its goroutine.
//
// Nil: the task is offered again, or it is a dead letter. The other answers are those of Rollback where the task is to be
// offered again, and those of Confirm where it is to be a dead letter. ctx bounds only the wait. task.ErrInvalid: cause is
// nil, and d is not settled.
func (d *Delivery) Fail(ctx context.Context, cause error) (err error) {
	if cause == nil {
		return fmt.Errorf("fail %q: %w: cause is nil", d.ID, task.ErrInvalid)
	}
	if d.c == nil {
		_, err = d.settle()
		return err
	}
	d.c.fail(d, cause, func(a afterFailure) {
		if !d.settlement.is(settled) && !d.isGone(cause) {
			d.c.tellFailed(d, cause)
		}
		err = d.settleFailed(ctx, a)
	})
	return err
}

// settleFailed settles d as a says, and waits for the outcome.
func (d *Delivery) settleFailed(ctx context.Context, a afterFailure) error {
	before, err := d.settle()
	if err != nil {
		return err
	}
	if a.bury && (before != timedOut || a.reason != task.ReasonAttempts) { // after a timeout the next claim buries it
		done := make(chan error, 1)
		d.c.settler.bury(burial{d: d, reason: a.reason, text: a.text, done: done})
		return d.wait(ctx, done)
	}
	return d.wait(ctx, d.c.settler.rollback(d, a.back, before))
}
