package main

import (
	"context"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// Nothing happened: the task fires.
func TestADeleterKilledBeforeItsRowHasDeletedNothing(t *testing.T) {
	killedAt(t, "delete/row", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(order{Delete: []string{"a"}})
		c.holds(1, 1, 0)
		c.next(never).delivers("a 1")
	})
}

// Members wait that have no row. Delete did not return, so one delivery is allowed;
// its Confirm finds no row and takes the member out. One whose payload is read from
// its row is not delivered at all. No lease ends here, and no reaper acts.
func TestADeleterKilledBetweenRowAndRemoveLeavesAtMostOneDelivery(t *testing.T) {
	killedAt(t, "delete/remove", 1, func(c *cell) {
		c.Lease = 10 * time.Minute
		c.warm()
		c.create(time.Now(), "a", "large")
		c.kill(order{Delete: []string{"a", "large"}})
		c.holds(0, 2, 0)
		c.next(never).delivers("a 1 gone")
	})
}

// A handler that fails each time does not keep such a member alive: what is offered
// again is looked up.
func TestADeleterKilledBetweenRowAndRemoveLeavesNothingToRetry(t *testing.T) {
	killedAt(t, "delete/remove", 1, func(c *cell) {
		c.Lease = 10 * time.Minute
		c.warm()
		c.create(time.Now(), "a")
		c.kill(order{Delete: []string{"a"}})
		c.holds(0, 1, 0)
		w := c.next(never, func(w *worker, _ *place) {
			w.hold = func(d *triggerhook.Delivery) { // as after a handler's error
				if err := d.Rollback(context.Background(), 100*time.Millisecond); err != nil {
					c.Errorf("Rollback: %v", err)
				}
			}
		})
		w.delivers("a 1 given back")
	})
}

// One partition was told, the other was not.
func TestADeleterKilledBetweenTwoPartitionsLeavesOne(t *testing.T) {
	killedAt(t, "delete/remove:2", 2, func(c *cell) {
		c.Lease = 10 * time.Minute
		c.warm()
		ids := []string{idIn(0), idIn(1)}
		c.create(time.Now(), ids...)
		c.kill(order{Delete: ids})
		c.holds(0, 1, 0)
		for i, d := range c.next(never).ends() {
			if d.Attempt != 1 || i > 0 {
				c.Errorf("delivery %d is %s", i, d)
			}
		}
	})
}

func TestADeleterKilledAfterItsRemoveLeavesNothing(t *testing.T) {
	killedAt(t, "delete/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(order{Delete: []string{"a"}})
		c.holds(0, 0, 0)
		c.create(time.Now(), "b")
		c.next(never).delivers("b 1")
	})
}

// rescheduling creates a task that is due now, and orders a time that is to come.
func rescheduling(c *cell) time.Time {
	c.warm()
	c.create(time.Now(), "a")
	to := time.Now().Add(3 * time.Second)
	c.kill(order{Reschedule: &triggerhook.Task{ID: "a", Due: to}})
	return to
}

// due checks which time a delivery was for, to the millisecond.
func (d delivery) due(c *cell, want time.Time) {
	c.Helper()
	if d.Due.Before(want) || d.Due.Sub(want) > time.Millisecond {
		c.Errorf("killed at %s, %s is for %s, want %s", c.point, d, d.Due, want)
	}
}

// Nothing happened: the task fires at its old time.
func TestAReschedulerKilledBeforeItsMoveHasMovedNothing(t *testing.T) {
	killedAt(t, "reschedule/move", 1, func(c *cell) {
		to := rescheduling(c)
		c.holds(1, 1, 0)
		for _, d := range c.next(never).delivers("a 1") {
			if !d.Due.Before(to) {
				c.Errorf("it fires for %s, want its old time", d.Due)
			}
		}
	})
}

// The old version waits and has no row: Reschedule did not return, so it may fire
// at its old time, where its Confirm finds no row. At its new time it fires for
// certain: no scan reads that row any more, and the auditor finds it.
func TestAReschedulerKilledBetweenMoveAndRemoveMayFireAtBothTimes(t *testing.T) {
	killedAt(t, "reschedule/remove", 1, func(c *cell) {
		to := rescheduling(c)
		c.holds(1, 1, 0)
		w := c.next(500 * time.Millisecond)
		if all := w.delivers("a 1", "a 1 gone"); len(all) == 2 {
			all[1].due(c, to)
		}
		w.finds(1)
	})
}

func TestAReschedulerKilledBetweenRemoveAndAddFiresAtTheNewTime(t *testing.T) {
	killedAt(t, "reschedule/add", 1, func(c *cell) {
		to := rescheduling(c)
		c.holds(1, 0, 0)
		w := c.next(500 * time.Millisecond)
		for _, d := range w.delivers("a 1") {
			d.due(c, to)
		}
		w.finds(1)
	})
}

func TestAReschedulerKilledAfterItsAddHasRescheduled(t *testing.T) {
	killedAt(t, "reschedule/end", 1, func(c *cell) {
		to := rescheduling(c)
		c.holds(1, 1, 0)
		for _, d := range c.next(never).delivers("a 1") {
			d.due(c, to)
		}
	})
}

// moving creates two tasks that are due now, and orders a time that is to come for both.
func moving(c *cell) time.Time {
	c.warm()
	c.create(time.Now(), "m/a", "m/b")
	to := time.Now().Add(3 * time.Second)
	c.kill(order{Move: &triggerhook.Task{ID: "m/", Due: to}})
	return to
}

// Nothing happened: both tasks fire at their old time.
func TestAMoverOfManyKilledBeforeItsMoveHasMovedNothing(t *testing.T) {
	killedAt(t, "reschedule/many", 1, func(c *cell) {
		to := moving(c)
		c.holds(2, 2, 0)
		for _, d := range c.next(never).delivers("m/a 1", "m/b 1") {
			if !d.Due.Before(to) {
				c.Errorf("it fires for %s, want its old time", d.Due)
			}
		}
	})
}

// From its commit on it leaves of each row what a rescheduler of one task leaves.
func TestAMoverOfManyKilledBetweenRemoveAndAddFiresAtTheNewTime(t *testing.T) {
	killedAt(t, "reschedule/add", 1, func(c *cell) {
		to := moving(c)
		c.holds(2, 0, 0)
		w := c.next(500 * time.Millisecond)
		for _, d := range w.delivers("m/a 1", "m/b 1") {
			d.due(c, to)
		}
		w.finds(2)
	})
}
