package consumer

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// raiseTimeout is how long a task that is offered again waits until its row knows of its attempts.
const raiseTimeout = 2 * time.Second

// enqueueRetried hands out tasks that have failed before, once their rows know how often. The hot set counts attempts: a
// rollback and a lease that ran out write nothing to the durable store. So if the hot set loses its data, the row that a
// task is rebuilt from knows of all attempts but the one that was under way, also if a task kills its worker each time. One
// write serves all retried tasks of a claim, and tasks that did not fail need none.
//
// The claim loop does not wait for it: a row that another transaction has locked holds up its own tasks alone. If the
// write fails, the tasks are handed out all the same, and the next attempt of each writes also what this one did not.
func (c *Consumer) enqueueRetried(ds []*Delivery) {
	if len(ds) == 0 {
		return
	}
	counts := make([]task.Attempts, len(ds))
	for i, d := range ds {
		counts[i] = task.Attempts{Ref: d.own, Attempt: d.failedAttempts}
	}
	c.mu.Lock()
	c.raising += len(ds)
	c.mu.Unlock()
	c.raises.Go(func() {
		ctx, cancel := context.WithTimeout(c.settler.calling, raiseTimeout)
		defer cancel()
		failpoint.Hit("claim/raise")
		if err := c.store.RaiseAttempts(ctx, counts); err != nil {
			c.o.Report.Error("write attempts", err, "written with the next attempt", "tasks", len(ds))
		}
		c.mu.Lock()
		c.raising -= len(ds)
		c.mu.Unlock()
		c.enqueueAll(ds)
		c.nudgeClaimer()
	})
}
