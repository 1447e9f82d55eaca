package consumer

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// raiseTimeout is how long a task that is offered again waits until its row knows of its attempts.
const raiseTimeout = 2 * time.Second

// Tasks that have failed before are handed out once their rows know how often. The hot set counts attempts: a
// rollback and a lease that ran out write nothing to the durable store. So if the hot set loses its data, the row that a
// task is rebuilt from knows of all attempts but the one that was under way, also if a task kills its worker each time. One
// write serves all retried tasks of a claim, and tasks that did not fail need none.
//
// The claim loop does not wait for it: a row that another transaction has locked holds up its own tasks alone. If the
// write fails, the tasks are handed out all the same, and the next attempt of each writes also what this one did not.

// enqueueRetried hands out the tasks ds of b, which have failed before, and of which the hot set holds everything else. They
// need a row: a deleter that died before it removed the member has left it without one, and a handler that always fails would get it for
// ever. If as many rows were raised as tasks are claimed, each has one. Otherwise some have none, or know of their attempts already, as
// after a Snooze, and the rows are read.
func (c *Consumer) enqueueRetried(ctx context.Context, b *batch, ds []*Delivery) {
	c.goRaise(ds, func(raised int, err error) {
		switch {
		case err != nil:
			c.readAll(ctx, b, unreadOf(ds), c.enqueueAll) // not raised again, for which they would wait as long again
		case raised < len(ds):
			c.readAll(ctx, b, unreadOf(ds), c.raise)
		default:
			c.enqueueAll(ds)
		}
	})
}

// raise hands out tasks whose rows were read.
func (c *Consumer) raise(ds []*Delivery) {
	c.goRaise(ds, func(int, error) { c.enqueueAll(ds) })
}

// goRaise has the rows of ds know of their attempts, and then does what is to be done, without its caller.
func (c *Consumer) goRaise(ds []*Delivery, then func(raised int, err error)) {
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

// unreadOf returns ds as tasks whose rows are to be read, and are as long as their entries.
func unreadOf(ds []*Delivery) []unread {
	all := make([]unread, len(ds))
	for i, d := range ds {
		all[i] = unread{d, max(1, len(d.Payload))}
	}
	return all
}
