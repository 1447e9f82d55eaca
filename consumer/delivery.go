package consumer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Delivery is one claimed task in a caller's hands, to be answered once: Confirm,
// ConfirmAsync or Rollback. It is never used again for another task, and must not
// be copied. One made by hand, for a test of a handler, settles to nothing.
type Delivery struct {
	task.Task
	// Attempt is 1 at first and counts rollbacks and leases that ran out.
	Attempt int

	c       *Consumer
	batch   *batch
	own     task.Ref // what is above belongs to the caller
	dueMS   int64
	execMS  int64
	tries   int
	partial bool // its payload or its record is still to be read from its row
	settled atomic.Bool

	// Under Consumer.mu.
	since  time.Time // in the queue, then in hand
	inHand bool
	over   bool // no longer ours: settles against the row alone

	mu     sync.Mutex // of the context, which few ask for; taken after Consumer.mu
	ctx    context.Context
	cancel context.CancelCauseFunc
	cause  error // why the context has ended
}

// fill makes d the delivery of a claimed entry.
func (d *Delivery) fill(c *Consumer, b *batch, e *task.Entry) {
	d.c, d.batch, d.own, d.ID = c, b, e.Ref, e.ID
	d.complete(e.DueMS, e.ExecMS, e.Attempt, e.Payload)
}

func (d *Delivery) complete(dueMS, execMS int64, tries int, payload []byte) {
	d.dueMS, d.execMS, d.tries = dueMS, execMS, tries
	d.Due, d.Attempt, d.Payload = time.UnixMilli(execMS).UTC(), tries+1, payload
}

// Context ends when the task is no longer this caller's: its lease is over, it was
// deleted or rescheduled (within a second or so), Options.DeliveryTimeout or the
// drain time is over, or it is settled. context.Cause tells which. Unless it was deleted
// (task.ErrGone) the answer is still waited for when Run ends, and a Confirm still counts.
func (d *Delivery) Context() context.Context {
	if d.c == nil {
		return context.Background()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		d.ctx, d.cancel = context.WithCancelCause(context.Background())
		if d.cause != nil {
			d.cancel(d.cause)
		}
	}
	return d.ctx
}

// end ends the context, for the first cause that is given.
func (d *Delivery) end(cause error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cause != nil {
		return
	}
	d.cause = cause
	if d.cancel != nil {
		d.cancel(cause)
	}
}

func (d *Delivery) settle() error {
	if d.settled.Swap(true) {
		return fmt.Errorf("task %q: %w", d.ID, task.ErrSettled)
	}
	d.end(task.ErrSettled)
	return nil
}

// Confirm says that the task is done: nil tells that this call deleted its row,
// durably; it will not be delivered again. The answer is handed over first, and
// ctx bounds only the wait for it. task.ErrGone: the row was gone before (deleted,
// rescheduled, or confirmed by another). task.ErrSettled: d was settled before.
// While the durable store is away Confirm waits and goes on trying, as long as
// Run runs.
func (d *Delivery) Confirm(ctx context.Context) error {
	if err := d.settle(); err != nil || d.c == nil {
		return err
	}
	done := make(chan error, 1)
	d.c.settler.confirm(answer{d, done})
	return wait(ctx, done)
}

// ConfirmAsync is Confirm without its answer: a failure is reported, and ends in
// redelivery. While tasks are due such confirms let deliveries go first: in a burst very
// many may wait, and are delivered again if this process dies before they are
// done. It blocks while 200,000 wait.
func (d *Delivery) ConfirmAsync() {
	if err := d.settle(); err != nil {
		if d.c != nil {
			d.c.o.Report.Error("confirm", err, "nothing: it was settled before")
		}
		return
	}
	if d.c != nil {
		d.c.settler.slots <- struct{}{}
		d.c.settler.confirm(answer{d: d})
	}
}

// Rollback gives the task back: it is offered again delay from now, at once if
// delay is not positive; without the delay if its lease had run out before. ctx
// bounds only the wait, which lasts while the hot set is away. task.ErrGone: its
// row is gone.
// task.ErrSettled: d was settled before.
func (d *Delivery) Rollback(ctx context.Context, delay time.Duration) error {
	if err := d.settle(); err != nil || d.c == nil {
		return err
	}
	return wait(ctx, d.c.settler.rollback(d, delay))
}

func wait(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	default:
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
