package consumer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// ClaimAhead: a claim takes what is due soon, too, so that one claim serves the tasks of some time, and none of them waits for a round trip when
// it is due. Such a task lies here until the hot set's clock has certainly reached its time. The answer to the claim has a reading of that
// clock, which was made before the answer came: so the clock has gone on by at least what the local monotonic clock has since then, less what the rates of the two
// differ by (aheadDrift). Model: ahead.pml.
//
// A process takes ahead what it is likely to have callers for: as many tasks as callers wait, and as it has settled lately in a time as long as it
// looks ahead. So processes share as they do without. Tasks that fall due unexpectedly are claimed for the same callers. What has none then
// when it is due goes back at once, for other processes.

const (
	// aheadLead is how long before it is due a task is claimed for which the claimer is woken: a round trip takes no longer, mostly.
	aheadLead = 5 * time.Millisecond
	// aheadDrift is what a span of the hot set's clock is longer at most, as a part of it, than the same span here: what time daemons
	// slew a clock by is half of that.
	aheadDrift = 1000
)

// future holds tasks that were claimed before they are due, and hands them out when they are. Under Consumer.mu, except alarm.
type future struct {
	tasks []futureTask // in the order of their times
	alarm *wait.Alarm  // nil: nothing is claimed ahead
}

// futureTask is a task and when it is due, by the local clock.
type futureTask struct {
	d  *Delivery
	at time.Time
}

// dueAt is the local time at which the hot set's clock has certainly reached the time at which d is offered; zero if it had when d was claimed. Of a
// batch that an earlier claim took no more is known than that it looked no further ahead.
func (c *Consumer) dueAt(d *Delivery) time.Time {
	b := d.batch
	switch {
	case b.repeated && c.future.alarm != nil:
		return b.answered.Add(c.o.Ahead + c.o.Ahead/aheadDrift + time.Millisecond)
	case d.offerMS == 0:
		return time.Time{}
	}
	span := time.Duration(d.offerMS*1000-b.asOfUS) * time.Microsecond
	return b.answered.Add(span + span/aheadDrift + 1)
}

// offeredBy is when d is offered, or somewhat later, by the hot set's clock; 0: when it is due.
func (c *Consumer) offeredBy(d *Delivery) int64 {
	if d.batch.repeated && c.future.alarm != nil {
		return (d.batch.asOfUS + c.o.Ahead.Microseconds()) / 1000
	}
	return d.offerMS
}

// putAside keeps d until it is due. It reports whether d was not due yet. Under mu.
func (c *Consumer) putAside(d *Delivery) bool {
	at := c.dueAt(d)
	if at.IsZero() || !time.Now().Before(at) {
		return false
	}
	f := &c.future
	place, _ := slices.BinarySearchFunc(f.tasks, at, func(t futureTask, at time.Time) int { return cmp.Or(t.at.Compare(at), -1) }) // after its equals
	f.tasks = slices.Insert(f.tasks, place, futureTask{d, at})
	if place == 0 {
		f.alarm.Set(time.Until(at))
	}
	return true
}

// handFuture hands out what was claimed ahead when it is due, until ctx ends.
func (c *Consumer) handFuture(ctx context.Context) {
	for {
		select {
		case <-c.future.alarm.C:
			c.returnQueued(ctx, c.handDue())
		case <-ctx.Done():
			return
		}
	}
}

// handDue hands out what is due by now. It returns what no caller is likely to take soon.
func (c *Consumer) handDue() (unwanted map[*batch][]*Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, now, room, n := &c.future, time.Now(), len(c.waiters)+c.settledLately.sum()-c.queue.len(), 0
	unwanted = map[*batch][]*Delivery{}
	for ; n < len(f.tasks) && !now.Before(f.tasks[n].at); n++ {
		d := f.tasks[n].d
		switch {
		case !d.life.inBatch():
		case room > 0:
			c.give(d)
			room--
		default:
			unwanted[d.batch] = append(unwanted[d.batch], d)
		}
	}
	if f.tasks = slices.Delete(f.tasks, 0, n); len(f.tasks) > 0 {
		f.alarm.Set(time.Until(f.tasks[0].at))
	}
	return unwanted
}

// ahead is how far ahead the next claim of n tasks may reach, and how many of the tasks it may have then. Neither MaxRate nor the
// limits of the namespace know of tasks that are claimed and not due.
func (c *Consumer) ahead(n int) (time.Duration, int) {
	if c.o.Ahead < time.Millisecond || c.o.MaxRate > 0 || c.o.Interval > 0 || c.o.MaxInFlight != nil {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	settled := int(time.Duration(c.settledLately.sum()) * c.o.Ahead / (time.Duration(len(c.settledLately.slots)) * slotLength))
	return c.o.Ahead, max(0, min(n, len(c.waiters)+settled-len(c.future.tasks)))
}

// takeFuture takes out what was claimed before the end of a pause. Under mu.
func (c *Consumer) takeFuture(pause task.Pause) (all []*Delivery) {
	c.future.tasks = slices.DeleteFunc(c.future.tasks, func(t futureTask) bool {
		before := t.d.batch.claimedMS < pause.UntilMS
		if before {
			all = append(all, t.d)
		}
		return before
	})
	return all
}
