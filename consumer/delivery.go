package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Delivery is one claimed task in a caller's hands, to be answered once: Confirm,
// ConfirmAsync or Rollback. It is never used again for another task. One made by
// hand, for a test of a handler, settles to nothing.
type Delivery struct {
	task.Task
	// Attempt is 1 at first and counts rollbacks and leases that ran out.
	Attempt int

	c       *Consumer
	held    *held
	ctx     context.Context
	cancel  context.CancelCauseFunc
	settled atomic.Bool
}

func newDelivery(c *Consumer, h *held) *Delivery {
	d := &Delivery{Task: task.Task{ID: h.ID, Due: time.UnixMilli(h.ExecMS).UTC(), Payload: h.Payload}, Attempt: h.Attempt + 1, c: c, held: h}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	return d
}

// Context ends when the task is no longer this caller's: its lease is over, it was
// deleted or rescheduled (within a second or so), Options.DeliveryTimeout or the
// drain time is over, or it is settled. context.Cause tells which.
func (d *Delivery) Context() context.Context {
	if d.ctx == nil {
		return context.Background()
	}
	return d.ctx
}

// Causes of the end of a Delivery's Context, besides task.ErrGone, task.ErrSettled
// and task.ErrClosed.
var (
	ErrLeaseLost = errors.New("lease is over")
	ErrTimeout   = errors.New("delivery timeout")
)

func (d *Delivery) settle() error {
	if d.settled.Swap(true) {
		return fmt.Errorf("task %q: %w", d.ID, task.ErrSettled)
	}
	if d.cancel != nil {
		d.cancel(task.ErrSettled)
	}
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
	return wait(ctx, d.c.settler.confirm(d.held))
}

// ConfirmAsync is Confirm without its answer: a failure is reported, and ends in
// redelivery. It blocks while 100,000 such confirms wait.
func (d *Delivery) ConfirmAsync() {
	if err := d.settle(); err != nil {
		if d.c != nil {
			d.c.o.Report.Error("confirm", err, "nothing: it was settled before")
		}
		return
	}
	if d.c != nil {
		d.c.settler.confirmAsync(d.held)
	}
}

// Rollback gives the task back: it is offered again delay from now, at once if
// delay is not positive. ctx bounds only the wait. task.ErrGone: its row is gone.
// task.ErrSettled: d was settled before.
func (d *Delivery) Rollback(ctx context.Context, delay time.Duration) error {
	if err := d.settle(); err != nil || d.c == nil {
		return err
	}
	return wait(ctx, d.c.settler.rollback(d.held, delay))
}

func wait(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
