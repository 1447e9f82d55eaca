package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// discarding is an order to discard all that is delivered.
var discarding = order{Work: &work{Workers: 1, Then: "discard"}}

// dead checks how many dead letters there are.
func (c *cell) dead(want int) {
	c.Helper()
	page, err := c.store.Dead(c.Context(), task.DeadFilter{}, task.DeadCursor{}, 10)
	if err != nil {
		c.Fatal(err)
	}
	if len(page.Dead) != want {
		c.Errorf("killed at %s: there are %d dead letters, want %d", c.point, len(page.Dead), want)
	}
}

// The burial had no effect: the task is delivered again when the lease is over.
func TestABurialKilledBeforeItsRowIsRedelivered(t *testing.T) {
	killedAt(t, "bury/row", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(discarding).was("a 1")
		c.holds(1, 0, 1)
		c.dead(0)
		c.next(never).delivers("a 2")
	})
}

// The task is a dead letter, though its caller does not know, and is not delivered again.
func TestABurialKilledBetweenRowAndMemberIsNotRedelivered(t *testing.T) {
	killedAt(t, "bury/remove", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(discarding).was("a 1")
		c.holds(0, 0, 1)
		c.dead(1)
		c.next(never, roles).delivers()
		c.dead(1)
	})
}

func TestABurialKilledAfterItsMemberLeavesADeadLetter(t *testing.T) {
	killedAt(t, "bury/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(discarding).was("a 1")
		c.holds(0, 0, 0)
		c.dead(1)
		c.create(time.Now(), "b")
		c.next(never).delivers("b 1")
	})
}

// The attempt that failed is in the hot set alone, and the one that was claimed since is counted by the reaper.
func TestAClaimerKilledBeforeItWritesAttemptsLosesItsLease(t *testing.T) {
	killedAt(t, "claim/raise", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(returning(0)).was("a 1")
		c.holds(1, 0, 1)
		c.next(never).delivers("a 3")
	})
}
