package main

import (
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// creating is an order to create one task.
func creating(due time.Time) order {
	return order{Create: []*triggerhook.Task{taskOf("a", due)}}
}

// Nothing happened, and the same call creates the task.
func TestACreatorKilledBeforeItsCommitLeavesNothing(t *testing.T) {
	killedAt(t, "create/commit", 1, func(c *cell) {
		c.warm()
		c.kill(creating(time.Now()))
		c.holds(0, 0, 0)
		w := c.next(never)
		if err := c.sch.Create(c.Context(), taskOf("a", time.Now())); err != nil {
			c.Fatal(err)
		}
		w.delivers("a 1")
	})
}

// Nothing happened, neither to the task that exists nor to the new one, and the same call stores both.
func TestAnUpserterKilledBeforeItsCommitLeavesNothing(t *testing.T) {
	killedAt(t, "upsert/commit", 1, func(c *cell) {
		c.warm()
		c.create(time.Now().Add(time.Hour), "a")
		c.kill(order{Upsert: []*triggerhook.Task{taskOf("a", time.Now()), taskOf("b", time.Now())}})
		c.holds(1, 0, 0)
		w := c.next(never)
		done, err := c.sch.Upsert(c.Context(), triggerhook.Debounce, taskOf("a", time.Now()), taskOf("b", time.Now()))
		if err != nil || done[0] != triggerhook.Replaced || done[1] != triggerhook.Created {
			c.Fatalf("the same Upsert: %v, %v", done, err)
		}
		w.delivers("a 1", "b 1")
	})
}

// The feeder has read past the task's time: the auditor finds the row.
func TestACreatorKilledBetweenCommitAndAddLeavesARowToTheAuditor(t *testing.T) {
	killedAt(t, "create/add", 1, func(c *cell) {
		c.warm()
		c.kill(creating(time.Now()))
		c.holds(1, 0, 0)
		w := c.next(500 * time.Millisecond)
		w.delivers("a 1")
		w.finds(1)
	})
}

// The feeder has not come to the task's time yet: no audit is needed.
func TestACreatorKilledBetweenCommitAndAddLeavesAFarRowToTheFeeder(t *testing.T) {
	killedAt(t, "create/add", 1, func(c *cell) {
		c.Window = time.Second
		c.warm()
		c.kill(creating(time.Now().Add(3 * time.Second)))
		c.holds(1, 0, 0)
		w := c.next(never)
		w.delivers("a 1")
		w.finds(0)
	})
}

// creatingInAHandler kills a process whose handler creates b, due in 2 s, while it has a in hand.
func creatingInAHandler(c *cell) {
	c.warm()
	c.create(time.Now(), "a")
	c.kill(order{Work: &work{Workers: 1, Then: "create", Follow: taskOf("b", time.Now().Add(2*time.Second))}})
}

// The caller of Create has its answer, and does not wait for the add: the auditor finds the row, when it is late.
func TestACreatorKilledWhileItsAddLingersLeavesARowToTheAuditor(t *testing.T) {
	killedAt(t, "linger/add", 1, func(c *cell) {
		creatingInAHandler(c)
		c.holds(2, 0, 1)
		w := c.next(500 * time.Millisecond)
		w.delivers("a 2", "b 1")
		w.finds(1)
	})
}

func TestACreatorKilledAfterALingeringAddHasCreated(t *testing.T) {
	killedAt(t, "linger/end", 1, func(c *cell) {
		creatingInAHandler(c)
		c.holds(2, 1, 1)
		w := c.next(never)
		w.delivers("a 2", "b 1")
		w.finds(0)
	})
}

// The task stands in both stores, though its caller does not know: the same call
// says that it exists.
func TestACreatorKilledAfterItsAddHasCreated(t *testing.T) {
	killedAt(t, "create/end", 1, func(c *cell) {
		c.warm()
		c.kill(creating(time.Now()))
		c.holds(1, 1, 0)
		if err := c.sch.Create(c.Context(), taskOf("a", time.Now())); !errors.Is(err, triggerhook.ErrExists) {
			c.Errorf("Create again: %v, want ErrExists", err)
		}
		w := c.next(never)
		w.delivers("a 1")
		w.finds(0)
	})
}
