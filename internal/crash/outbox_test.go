package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
)

// inTx commits a transaction of the test's own.
func (c *cell) inTx(change func(tx triggerhook.Tx) error) {
	c.Helper()
	tx, err := c.db.BeginTx(c.Context(), nil)
	if err == nil {
		err = change(tx)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		c.Fatal(err)
	}
}

// created has a transaction create a task that is due now.
func (c *cell) created() {
	c.Helper()
	c.inTx(func(tx triggerhook.Tx) error { return c.sch.CreateTx(c.Context(), tx, taskOf("a", time.Now())) })
}

// entries is how many entries the outbox has.
func (c *cell) entries() int {
	c.Helper()
	all, err := c.store.(durable.TxStore).Outbox(c.Context(), 0, 100)
	if err != nil {
		c.Fatal(err)
	}
	return len(all)
}

// left checks that as many entries are left at the death.
func (c *cell) left(want int) {
	c.Helper()
	if n := c.entries(); n != want {
		c.Errorf("killed at %s the outbox has %d entries, want %d", c.point, n, want)
	}
}

// drains waits until the next worker has done the entries.
func (c *cell) drains() {
	c.Helper()
	c.until("the outbox is empty", func() bool { return c.entries() == 0 })
}

func TestACreatorKilledBeforeItsTransactionCommitsLeavesNothing(t *testing.T) {
	killedAt(t, "createtx/end", 1, func(c *cell) {
		c.warm()
		c.kill(order{CreateTx: []*triggerhook.Task{taskOf("a", time.Now())}})
		c.left(0)
		c.holds(0, 0, 0)
		c.next(never).delivers()
	})
}

// No call follows the commit: the process dies, and another one's drainer finds the task.
func TestAProcessKilledRightAfterItsCommitHasCreated(t *testing.T) {
	killedAt(t, "create/commit", 1, func(c *cell) {
		c.warm()
		c.kill(order{CreateTx: []*triggerhook.Task{taskOf("a", time.Now())}, Create: []*triggerhook.Task{taskOf("b", time.Now())}})
		c.left(1)
		c.holds(1, 0, 0)
		c.next(never).delivers("a 1")
		c.drains()
	})
}

func TestADrainerKilledBeforeItReadsRowsIsReplaced(t *testing.T) {
	killedAt(t, "outbox/read", 1, addsAgain)
}

func TestADrainerKilledBeforeItAddsIsReplaced(t *testing.T) {
	killedAt(t, "outbox/add", 1, addsAgain)
}

// addsAgain kills a drainer that has not told the hot set of a new task: the entry stays, and the next drainer adds the task.
func addsAgain(c *cell) {
	c.Helper()
	c.warm()
	c.created()
	c.kill(order{Work: &work{}})
	c.left(1)
	c.holds(1, 0, 0)
	c.next(never).delivers("a 1")
	c.drains()
}

// deletedInTx leaves a member whose row a transaction has deleted.
func (c *cell) deletedInTx() {
	c.Helper()
	c.Window = time.Hour // so that the task does not fall due
	c.warm()
	c.create(time.Now().Add(30*time.Minute), "a")
	c.inTx(func(tx triggerhook.Tx) error { return c.sch.DeleteTx(c.Context(), tx, "a") })
}

func TestADrainerKilledBeforeItRemovesIsReplaced(t *testing.T) {
	killedAt(t, "outbox/remove", 1, func(c *cell) {
		c.deletedInTx()
		c.kill(order{Work: &work{}})
		c.left(1)
		c.holds(0, 1, 0)
		w := c.next(never)
		c.drains()
		c.holds(0, 0, 0)
		w.delivers()
	})
}

func TestADrainerKilledBetweenRemoveAndDeleteRemovesAgain(t *testing.T) {
	killedAt(t, "outbox/delete", 1, func(c *cell) {
		c.deletedInTx()
		c.kill(order{Work: &work{}})
		c.left(1)
		c.holds(0, 0, 0)
		w := c.next(never)
		c.drains()
		w.delivers()
	})
}

func TestADrainerKilledAfterItsLastStepLeavesNothing(t *testing.T) {
	killedAt(t, "outbox/end", 1, func(c *cell) {
		c.deletedInTx()
		c.kill(order{Work: &work{}})
		c.left(0)
		c.holds(0, 0, 0)
		c.next(never).delivers()
	})
}
