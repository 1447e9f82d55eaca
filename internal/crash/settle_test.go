package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// The confirm had no effect: the task is delivered again when the lease is over.
func TestAConfirmKilledBeforeItsRowIsRedelivered(t *testing.T) {
	killedAt(t, "confirm/row", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(claiming).was("a 1")
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// The task is done, though its caller does not know. The reaper reads rows before
// it gives anything back. The history has the end, once. No worker claims here, because it would look at the row too.
func TestAConfirmKilledBetweenRowAndForgetIsNotRedelivered(t *testing.T) {
	killedAt(t, "confirm/forget", 1, func(c *cell) {
		c.KeepHistory = true
		c.warm()
		c.create(time.Now(), "a")
		c.kill(claiming).was("a 1")
		c.holds(0, 0, 1)
		c.kept("a", triggerhook.EndConfirmed)
		c.next(never, roles).delivers()
		c.kept("a", triggerhook.EndConfirmed)
	})
}

func TestAConfirmKilledAfterItsForgetLeavesNothing(t *testing.T) {
	killedAt(t, "confirm/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(claiming).was("a 1")
		c.holds(0, 0, 0)
		c.create(time.Now(), "b")
		c.next(never).delivers("b 1")
	})
}

// returning is an order to roll back all that is delivered.
func returning(delay time.Duration) order {
	return order{Work: &work{Workers: 1, Then: "rollback", Delay: delay}}
}

// The rollback had no effect: its attempt is counted by the reaper instead, once.
func TestARollbackKilledBeforeItsReleaseLosesItsLease(t *testing.T) {
	killedAt(t, "rollback/release", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(returning(0)).was("a 1")
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// The task waits for its delay, with its attempt counted.
func TestARollbackKilledAfterItsReleaseKeepsDelayAndAttempt(t *testing.T) {
	killedAt(t, "rollback/end", 1, func(c *cell) {
		const delay = 2 * time.Second
		c.warm()
		c.create(time.Now(), "a")
		var begun time.Time
		c.kill(returning(delay), func() { begun = time.Now() }).was("a 1")
		c.holds(1, 1, 0)
		at := time.UnixMilli(c.state(0).OldestMS)
		if at.Before(begun.Add(delay)) {
			c.Errorf("it is offered %s after its rollback began, want at least %s", at.Sub(begun), delay)
		}
		for _, d := range c.next(never).delivers("a 2") {
			if d.at.Before(at) {
				c.Errorf("%s was delivered %s before the end of its delay", d, at.Sub(d.at))
			}
		}
	})
}

// postponing is how a rollback beyond the horizon is staged: the window is short.
// It returns the version that was rolled back.
func postponing(c *cell) (old task.Ref) {
	c.Helper()
	c.Window = time.Second
	c.warm()
	c.create(time.Now(), "a")
	old = c.row("a").Ref
	c.kill(returning(5 * time.Second)).was("a 1")
	return old
}

// postponed waits for the delivery of a task that was postponed: when its row
// says, and not before.
func (c *cell) postponed(want string) {
	c.Helper()
	at := time.UnixMilli(c.row("a").NextMS)
	for _, d := range c.next(never).delivers(want) {
		if d.at.Before(at) {
			c.Errorf("%s was delivered %s before the end of its delay", d, at.Sub(d.at))
		}
	}
}

// The hot set had refused to put the task back that far: it stays in its batch.
// The rollback had no effect, but that the lease ends.
func TestAPostponementKilledBeforeItsMoveLosesItsLease(t *testing.T) {
	killedAt(t, "postpone/move", 1, func(c *cell) {
		postponing(c)
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// The row has another version, and the batch holds one that has none: the reaper
// compares versions, not IDs. No worker claims until it has.
func TestAPostponementKilledBetweenMoveAndRemoveKeepsItsDelay(t *testing.T) {
	killedAt(t, "postpone/remove", 1, func(c *cell) {
		old := postponing(c)
		c.holds(1, 0, 1)
		w := c.next(never, roles)
		c.until("the old version is dropped", func() bool {
			found, err := c.set.Find(c.Context(), 0, []task.Ref{old})
			return err == nil && found[0].Outcome == task.FindAbsent
		})
		w.stop()
		c.postponed("a 2")
	})
}

// The feeder brings the new version when its time is near.
func TestAPostponementKilledBetweenRemoveAndAddIsFed(t *testing.T) {
	killedAt(t, "postpone/add", 1, func(c *cell) {
		postponing(c)
		c.holds(1, 0, 0)
		c.postponed("a 2")
	})
}

// The add answered that the time is beyond the horizon, so it is the feeder's.
func TestAPostponementKilledAfterItsAddKeepsDelayAndAttempt(t *testing.T) {
	killedAt(t, "postpone/end", 1, func(c *cell) {
		postponing(c)
		c.holds(1, 0, 0)
		c.postponed("a 2")
	})
}
