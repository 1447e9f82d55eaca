package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// hoarding kills a process when one task is in its caller's hands and others were
// in its queue. It returns how many tasks are left, and how many of them are in a
// batch: a confirm may have been on its way, so some may be members without a row.
func hoarding(c *cell, stop bool) (left, leased int) {
	c.Helper()
	c.warm()
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprintf("a%02d", i))
	}
	c.create(time.Now(), ids...)
	c.kill(order{Work: &work{Workers: 1, Confirms: 10, Then: "keep", Stop: stop}})
	n, _, err := c.store.Count(c.Context(), 1000)
	if err != nil {
		c.Fatal(err)
	}
	return int(n), int(n - c.state(0).Waiting)
}

// draining is hoarding, and then a drain.
func draining(c *cell) (left, leased int) { return hoarding(c, true) }

// attempts checks that all that was left is delivered once; what was in a batch
// counts a lost lease, and nothing else does.
func (c *cell) attempts(left, lost int) {
	c.Helper()
	again, seen := 0, map[string]bool{}
	all := c.next(never).ends()
	for _, d := range all {
		if d.Attempt == 2 {
			again++
		}
		seen[d.ID] = true
	}
	if len(all) != left || len(seen) != left || again != lost {
		c.Errorf("killed at %s, and the next worker was delivered %d tasks %d times, %d of them again; want %d once, %d of them again",
			c.point, len(seen), len(all), again, left, lost)
	}
}

// Queue and hands are leased still: the reaper gives them back.
func TestADrainKilledBeforeTheQueueGoesBackLosesItsLeases(t *testing.T) {
	killedAt(t, "drain/queue", 1, func(c *cell) {
		left, leased := draining(c)
		if leased < 2 {
			c.Errorf("%d tasks are leased, want one in hand and some in the queue", leased)
		}
		c.attempts(left, leased)
	})
}

// The queue is back, and counts nothing; what is in hand is leased.
func TestADrainKilledWhileItWaitsLosesOnlyWhatIsInHand(t *testing.T) {
	killedAt(t, "drain/wait", 1, func(c *cell) {
		left, leased := draining(c)
		if leased != 1 {
			c.Errorf("%d tasks are leased, want the one in hand", leased)
		}
		c.attempts(left, leased)
	})
}

// The caller had its time, and did not answer.
func TestADrainKilledBeforeTheRestGoesBackLosesOnlyWhatIsInHand(t *testing.T) {
	killedAt(t, "drain/rest", 1, func(c *cell) {
		left, leased := draining(c)
		if leased != 1 {
			c.Errorf("%d tasks are leased, want the one in hand", leased)
		}
		c.attempts(left, leased)
	})
}

// All is back, and no generation is current. The roles are held until their term ends: what
// lies beyond the horizon is fed after that.
func TestADrainKilledBeforeItResignsHoldsItsRolesForATerm(t *testing.T) {
	killedAt(t, "drain/resign", 1, func(c *cell) {
		c.Window = time.Second
		c.warm()
		c.create(time.Now(), strings.Fields("a b c d e f")...)
		c.kill(order{Work: &work{Workers: 1, Confirms: 3, Then: "keep", Stop: true}})
		c.holds(3, 3, 0)
		c.create(time.Now().Add(3*time.Second), "far") // beyond the horizon: for a feeder
		c.attempts(4, 0)
	})
}

// The roles are free at once.
func TestADrainKilledAfterItResignedHoldsNothing(t *testing.T) {
	killedAt(t, "drain/end", 1, func(c *cell) {
		left, leased := draining(c)
		if leased != 0 {
			c.Errorf("%d tasks are leased", leased)
		}
		terms, err := c.set.Elect(c.Context(), "the test", time.Millisecond, task.Feeder, task.Reaper, task.Auditor)
		if err != nil {
			c.Fatal(err)
		}
		for _, term := range terms {
			if !term.Held {
				c.Errorf("a role is held for %s by a process that has resigned", term.Left)
			}
		}
		c.attempts(left, 0)
	})
}

// What has waited too long in the queue is leased still.
func TestAQueueKilledBeforeItGoesBackLosesItsLeases(t *testing.T) {
	killedAt(t, "return/release", 1, func(c *cell) {
		left, leased := hoarding(c, false)
		if leased < 2 {
			c.Errorf("%d tasks are leased, want one in hand and some in the queue", leased)
		}
		c.attempts(left, leased)
	})
}

// It is back, and counts nothing; what is in hand is leased, and what has not
// waited that long.
func TestAQueueKilledAfterItWentBackLosesOnlyWhatIsLeft(t *testing.T) {
	killedAt(t, "return/end", 1, func(c *cell) {
		left, leased := hoarding(c, false)
		if leased < 1 {
			c.Error("nothing is leased, want one in hand")
		}
		c.attempts(left, leased)
	})
}
