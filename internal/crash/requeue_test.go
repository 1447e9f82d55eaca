package main

import (
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// requeueing makes a a dead letter, and returns the order to requeue it.
func requeueing(c *cell) order {
	c.create(time.Now().Add(24*time.Hour), "a")
	rows, err := c.store.Get(c.Context(), []string{"a"})
	if err == nil {
		_, err = c.store.Bury(c.Context(), []task.Burial{{Ref: rows[0].Ref, Reason: task.ReasonExpired}})
	}
	if err != nil {
		c.Fatal(err)
	}
	return order{Requeue: taskOf("a", time.Now())}
}

// The dead letter stays, and the same call takes it.
func TestARequeuerKilledBeforeItsCommitLeavesTheDeadLetter(t *testing.T) {
	killedAt(t, "requeue/row", 1, func(c *cell) {
		c.warm()
		c.kill(requeueing(c))
		c.holds(0, 0, 0)
		w := c.next(never)
		if err := c.sch.Requeue(c.Context(), "a", time.Now()); err != nil {
			c.Fatal(err)
		}
		w.delivers("a 1")
	})
}

// A row that the feeder has read past: the auditor finds it. The dead letter is gone.
func TestARequeuerKilledBetweenCommitAndAddLeavesARowToTheAuditor(t *testing.T) {
	killedAt(t, "requeue/add", 1, func(c *cell) {
		c.warm()
		c.kill(requeueing(c))
		c.holds(1, 0, 0)
		if n, _, err := c.store.CountDead(c.Context(), 10); n != 0 || err != nil {
			c.Errorf("%d dead letters are left, %v", n, err)
		}
		w := c.next(500 * time.Millisecond)
		w.delivers("a 1")
		w.finds(1)
	})
}

// The task stands in both stores: the same call says that it lives, or is no dead letter.
func TestARequeuerKilledAfterItsAddHasRequeued(t *testing.T) {
	killedAt(t, "requeue/end", 1, func(c *cell) {
		c.warm()
		c.kill(requeueing(c))
		c.holds(1, 1, 0)
		if err := c.sch.Requeue(c.Context(), "a", time.Now()); !errors.Is(err, triggerhook.ErrNotFound) {
			c.Errorf("Requeue again: %v, want ErrNotFound", err)
		}
		w := c.next(never)
		w.delivers("a 1")
		w.finds(0)
	})
}
