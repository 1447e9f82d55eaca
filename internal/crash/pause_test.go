package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// told waits until the partitions go by a pause, or by none.
func (c *cell) told(paused bool) {
	c.Helper()
	c.until("a feeder has told all partitions of what is recorded", func() bool {
		for p := range c.set.Config().Partitions {
			b, err := c.set.Claim(c.Context(), p, task.ClaimRequest{Token: "of-a-test", Lease: time.Second})
			if err != nil || b.Pause.At(time.Now()) != paused {
				return false
			}
		}
		return true
	})
}

// Nothing is recorded: tasks are delivered as before.
func TestAPauserKilledBeforeItsRecordHasPausedNothing(t *testing.T) {
	killedAt(t, "pause/record", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(order{Pause: true})
		c.told(false)
		c.next(never).delivers("a 1")
	})
}

// The pause is recorded, and no partition knows of it: the next feeder tells them. So it is with a Resume.
func TestAPauserKilledBeforeItTellsThePartitionsHasPaused(t *testing.T) {
	killedAt(t, "pause/tell", 1, func(c *cell) {
		c.warm()
		c.kill(order{Pause: true})
		c.told(false)
		c.create(time.Now(), "a")
		w := c.next(never)
		c.told(true)
		c.kill(order{Resume: true})
		c.told(false)
		w.delivers("a 1")
	})
}

// All know of the pause, and it stands: nothing depends on the process that made it.
func TestAPauserKilledAfterItHasToldHasPaused(t *testing.T) {
	killedAt(t, "pause/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(order{Pause: true})
		c.told(true)
		w := c.next(never)
		if err := c.sch.Resume(c.Context()); err != nil {
			c.Fatal(err)
		}
		w.delivers("a 1")
	})
}
