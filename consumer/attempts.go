package consumer

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// raiseTimeout is how long the row of a task that is offered again is waited for, to learn of its attempts.
const raiseTimeout = 2 * time.Second

// Tasks that have failed before are handed out once their rows know how often. The hot set counts attempts: a
// rollback and a lease that ran out write nothing to the durable store. So if the hot set loses its data, the row that a
// task is rebuilt from knows of all attempts but the one that was under way, also if a task kills its worker each time. One
// write serves all retried tasks of a claim, and tasks that did not fail need none.
//
// The claim loop does not wait for it: a row that another transaction has locked holds up its own tasks alone. If the
// write fails, and the rows are known to exist, the tasks are handed out all the same, and the next attempt of each writes also what this one did not.

// enqueueRetried hands out the tasks ds of b, which have failed before, and of which the hot set holds everything else. They
// need a row: a deleter that died before it removed the member has left it without one, and a handler that always fails would get it for
// ever. If as many rows were raised as tasks are claimed, each has one. Otherwise some may have none, or know of their attempts already, as
// after a Snooze, and the store is asked which exist.
func (c *Consumer) enqueueRetried(b *batch, ds []*Delivery) {
	c.raise(ds, func(raised int, err error) {
		if err == nil && raised == len(ds) {
			c.enqueueAll(ds)
		} else {
			c.enqueueExisting(b, ds)
		}
	})
}

// raise has the rows of ds know of their attempts, and then does what is to be done. It does not wait for either.
func (c *Consumer) raise(ds []*Delivery, then func(raised int, err error)) {
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
		failpoint.Hit("claim/raise")
		raised, err := c.store.RaiseAttempts(ctx, counts)
		cancel()
		if err != nil {
			c.o.Report.Error("write attempts", err, "written with the next attempt", "tasks", len(ds))
		}
		then(raised, err)
		c.mu.Lock()
		c.raising -= len(ds)
		c.mu.Unlock()
		c.nudgeClaimer()
	})
}

// enqueueExisting hands out those of ds that have a row, and drops the others. If the store is away they are offered again in a second.
func (c *Consumer) enqueueExisting(b *batch, ds []*Delivery) {
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.own.ID
	}
	ctx, cancel := c.settler.call(storeTimeout)
	defer cancel()
	refs, err := c.store.Versions(ctx, ids)
	if err != nil {
		c.o.Report.Error("look for rows", err, "offer the tasks again in 1 s", "tasks", len(ds))
		c.giveBack(context.WithoutCancel(ctx), b, ds, task.ReleaseRequest{Delay: time.Second})
		return
	}
	exists := make(map[task.Ref]bool, len(refs))
	for _, r := range refs {
		exists[r] = true
	}
	var whole []*Delivery
	var gone []task.Ref
	c.mu.Lock()
	for _, d := range ds {
		if exists[d.own] {
			whole = append(whole, d)
		} else if d.life.inBatch() {
			gone = append(gone, d.own)
			c.leaveBatch(d)
		}
	}
	c.mu.Unlock()
	c.enqueueAll(whole)
	c.dropGone(ctx, b, gone)
}
