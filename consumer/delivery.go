package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Delivery is one claimed task in a caller's hands, which settles it once: with Confirm,
// ConfirmAsync, Fail or Rollback. It is never used again for another task, and must not
// be copied. If one is made by hand, for a test of a handler, settling it does nothing.
type Delivery struct {
	task.Task
	// Attempt is 1 at first and counts rollbacks, timeouts and leases that ran out.
	Attempt int

	c              *Consumer
	batch          *batch
	own            task.Ref // the version that was claimed. It is used in place of ID, which the caller may change
	nextMS         int64    // when it is offered, as the row has it
	dueMS          int64    // in place of Due
	expiresMS      int64    // in place of Expires; 0: it does not expire
	createdMS      int64    // when the task was created; 0: not known
	offerMS        int64    // when it is offered, by the hot set's clock, if it was claimed ahead of that; 0: it was due
	failedAttempts int      // Attempt - 1: rollbacks, timeouts and leases that ran out before
	settlement     settlementState
	tx             txState       // what its ConfirmTx did
	returned       chan struct{} // made before the settlement becomes timedOut, closed once the task is given back

	// Under Consumer.mu.
	life  life
	since time.Time // when it was queued, and then when it was handed out

	ctx deliveryContext
}

// fill makes d the delivery of a claimed entry. The error is takeHeaders's.
func (d *Delivery) fill(c *Consumer, b *batch, e *task.Entry) error {
	d.c, d.batch, d.own, d.ID = c, b, e.Ref, e.ID
	d.takeExpiry(e.ExpiresMS)
	d.createdMS = e.CreatedMS
	return d.setTask(e.NextMS, e.DueMS, e.Attempt, e.Payload, e.Headers)
}

// setTask sets the fields that the caller sees, and those that they come from. The error is takeHeaders's.
func (d *Delivery) setTask(nextMS, dueMS int64, failedAttempts int, payload []byte, headers string) error {
	d.nextMS, d.dueMS, d.failedAttempts = nextMS, dueMS, failedAttempts
	d.Due, d.Attempt, d.Payload = time.UnixMilli(dueMS).UTC(), failedAttempts+1, payload
	return d.takeHeaders(headers)
}

// takeHeaders reads encoded headers. If they cannot be read, because the row was changed by hand, d has none, and the error
// tells that.
func (d *Delivery) takeHeaders(encoded string) (err error) {
	if d.Headers, err = task.DecodeHeaders(encoded); err != nil {
		return fmt.Errorf("task %q: %w", d.own.ID, err)
	}
	return nil
}

// reportHeaders reports err, unless it is nil: headers that could not be read.
func (c *Consumer) reportHeaders(err error) {
	if err != nil {
		c.o.Report.Error("read headers", err, "the tasks are delivered without headers")
	}
}

// Context ends when the task is no longer this caller's. context.Cause tells why:
//
//	task.ErrGone       it was deleted or rescheduled; mostly the context ends at once then, or within a second or so
//	task.ErrLeaseLost  its lease is over
//	task.ErrTimeout    Options.DeliveryTimeout is over
//	task.ErrClosed     the drain time is over
//	task.ErrSettled    it is settled: ConfirmAsync was called, or Confirm, Fail or Rollback has returned
//
// Unless the task is gone, Run still waits for the caller to settle it, and a Confirm still counts: the first one
// that finds the row ends the task, also after a timeout.
//
// The Deadline of the context is DeliveryTimeout after the task was handed out, and never changes. At the deadline the context
// ends with context.DeadlineExceeded; within a second after it the task is offered again. Each other end comes earlier, with
// context.Canceled: a lease that cannot be extended ends the context however far the deadline is.
// A Delivery that was made by hand has context.Background.
func (d *Delivery) Context() context.Context {
	if d.c == nil {
		return context.Background()
	}
	return &d.ctx
}

// settle makes d settled by its caller, and returns what its settlement was before.
func (d *Delivery) settle() (before settlement, err error) {
	if before = d.settlement.settle(); before == settled {
		return before, fmt.Errorf("task %q: %w", d.ID, task.ErrSettled)
	}
	return before, nil
}

// Confirm says that the task is done: nil tells that this call deleted its row,
// durably; it will not be delivered again, though a delivery that began after this
// one's lease or DeliveryTimeout was over may be under way. If the store's answer was lost, and the
// row is gone at the next try, the answer is nil too, though another call may have deleted it. task.ErrGone: the row was
// gone before (deleted, rescheduled, or confirmed by another). task.ErrSettled: d was
// settled by its caller before. While the durable store is away Confirm waits and goes
// on trying, as long as Run runs.
//
// The settlement is handed over first, and ctx bounds only the wait for its outcome. ctx may be d's
// own context, or one derived from it: Confirm itself ends d's context only when it returns. If that
// had ended before, or ends meanwhile (ErrLeaseLost, ErrTimeout, ErrGone, ErrClosed),
// that does not end the wait: of a context derived from it only a deadline that is earlier
// than that of d's context counts then.
func (d *Delivery) Confirm(ctx context.Context) error {
	if _, err := d.settle(); err != nil || d.c == nil {
		return err
	}
	if d.tx.used() {
		return d.wait(ctx, d.c.settler.endTx(d, false))
	}
	done := make(chan error, 1)
	d.c.settler.confirm(confirmation{d, done})
	return d.wait(ctx, done)
}

// ConfirmAsync is Confirm without its outcome: a failure is reported, and ends in
// redelivery; task.ErrGone is logged at Info, for nothing failed. If another ConfirmAsync came within the last 100 ms, this one may wait
// for up to 100 ms, so that many share a statement: up to 20 ms once 20 of them wait. Until then the task is in both stores. While tasks are due such confirms let deliveries go first: in a burst very
// many may wait, and are delivered again if this process dies before they are
// done. It blocks while 200,000 wait.
func (d *Delivery) ConfirmAsync() {
	if _, err := d.settle(); err != nil {
		if d.c != nil {
			d.c.o.Report.Error("confirm", err, "nothing: it was settled before")
		}
		return
	}
	if d.c != nil {
		d.ctx.end(task.ErrSettled)
		if d.tx.used() {
			d.c.settler.endTx(d, true)
			return
		}
		d.c.settler.asyncWaiting <- struct{}{}
		d.c.settler.confirm(confirmation{d: d})
	}
}

// Rollback gives the task back: it is offered again delay from now, at once if
// delay is not positive. In the last attempt of Options.MaxAttempts the task becomes a dead letter
// instead, and the answers are those of Confirm. If its lease had run out before, or the task was given back after
// DeliveryTimeout: the answer is nil, and delay does not count. ctx bounds only the
// wait, which lasts while the hot set is away; it may be d's own, as with Confirm.
// task.ErrGone: its row is gone. task.ErrSettled: d was settled by its caller before.
//
// A delay that ends beyond what the hot set holds (Options.Window, about) is kept in the
// durable store. While that is away Rollback waits and goes on trying, as long as Run runs
// and the lease lives. If the store's answer was lost, and the row is gone at the next try, the
// answer is nil, though the row may have been gone before (deleted, rescheduled). Any other error
// tells that this could not be done, or that it is not known whether it was: the task is offered
// again, perhaps without its delay.
func (d *Delivery) Rollback(ctx context.Context, delay time.Duration) error {
	if d.c == nil {
		_, err := d.settle()
		return err
	}
	a := afterFailure{back: redelivery{delay, true}}
	if d.c.lastAttempt(d) {
		a = afterFailure{bury: true, reason: task.ReasonAttempts, text: "rolled back in its last attempt"}
	}
	return d.settleFailed(ctx, a)
}

// wait returns the outcome, or why ctx ended if that comes first. If ctx has ended because d's own context has, also by the
// deadline of that, this tells nothing of how long the caller wants to wait. Then wait goes on until the outcome, which the
// settler has when Run ends at the latest, or until a deadline of ctx that is earlier than that of d's context.
func (d *Delivery) wait(ctx context.Context, done <-chan error) error {
	defer d.ctx.end(task.ErrSettled)
	var deadlineOfCaller <-chan time.Time
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if !d.ctx.endedWith(ctx) {
			return known(done, ctx.Err())
		}
		if deadline, is := ctx.Deadline(); is && deadline.Before(d.ctx.deadline) {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			deadlineOfCaller = timer.C
		}
	}
	select {
	case err := <-done:
		return err
	case <-deadlineOfCaller:
		return known(done, context.DeadlineExceeded)
	}
}

// known returns the outcome if it is known by now, and otherwise err.
func known(done <-chan error, err error) error {
	select {
	case outcome := <-done:
		return outcome
	default:
		return err
	}
}
