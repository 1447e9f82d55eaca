package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// draining kills a process in its drain, when one task was in its caller's hands
// and others in its queue. It returns how many tasks are left, and how many of
// them are in a batch.
func draining(c *cell) (left, claimed int) {
	c.Helper()
	c.warm()
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprintf("a%02d", i))
	}
	c.create(time.Now(), ids...)
	c.kill(order{Work: &work{Workers: 1, Confirms: 10, Then: "keep", Stop: true}})
	claimed = int(c.state(0).Claimed)
	c.holds(30, 30-claimed, claimed)
	return 30, claimed
}

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
		left, claimed := draining(c)
		if claimed < 2 {
			c.Errorf("%d tasks are claimed, want one in hand and some in the queue", claimed)
		}
		c.attempts(left, claimed)
	})
}

// The queue is back, and counts nothing; what is in hand is leased.
func TestADrainKilledWhileItWaitsLosesOnlyWhatIsInHand(t *testing.T) {
	killedAt(t, "drain/wait", 1, func(c *cell) {
		left, claimed := draining(c)
		if claimed != 1 {
			c.Errorf("%d tasks are claimed, want the one in hand", claimed)
		}
		c.attempts(left, claimed)
	})
}

// The caller had its time, and did not answer.
func TestADrainKilledBeforeTheRestGoesBackLosesOnlyWhatIsInHand(t *testing.T) {
	killedAt(t, "drain/rest", 1, func(c *cell) {
		left, claimed := draining(c)
		if claimed != 1 {
			c.Errorf("%d tasks are claimed, want the one in hand", claimed)
		}
		c.attempts(left, claimed)
	})
}

// All is back, and nothing counts. The roles are held until their term ends: what
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
		left, claimed := draining(c)
		if claimed != 0 {
			c.Errorf("%d tasks are claimed", claimed)
		}
		terms, err := c.set.Elect(c.Context(), "the test", time.Millisecond, task.Feeder, task.Auditor)
		if err != nil {
			c.Fatal(err)
		}
		for _, term := range terms {
			if !term.Held {
				c.Errorf("a role is held for %s by who has resigned", term.Left)
			}
		}
		c.attempts(left, 0)
	})
}
