package consumer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// ClaimAhead: a claim may take tasks that are not due yet, so that one claim serves the tasks of some time, and no task waits for a round trip
// when it is due. Each of them waits here until the hot set's clock has certainly reached its time. How that is known: the answer to a claim has
// readings of that clock, which were made before the answer came. Since the answer came, that clock has gone on by at least what the local
// monotonic clock has, less a small part (aheadDrift), because two clocks do not run at the same rate. While it goes slower than that, nothing is
// claimed ahead (rateWatch). Model: ahead.pml.
//
// A process takes no more ahead than it is likely to have callers for: one task for each caller that waits, and twice as many as it has lately settled
// in a time as long as ClaimAhead, because tasks do not come evenly. The same callers may take other tasks that fall due meanwhile. So a task for which
// no caller is left when it is due goes back at once, and other processes get it.

const (
	// aheadLead is how long before the next task is due the claimer looks again. Most round trips are shorter.
	aheadLead = 5 * time.Millisecond
	// aheadDrift: of two clocks one gains at most one part in aheadDrift on the other. The kernel's own discipline slews a clock by half of
	// that at most; what does more is noticed (rateWatch).
	aheadDrift = 1000
)

// future has the tasks that were claimed before they are due, until they are due. Under Consumer.mu, except alarm.
type future struct {
	tasks []futureTask // in the order of their times
	alarm *wait.Alarm  // nil: nothing is claimed ahead
}

// futureTask is a task and when it is due, by the local clock.
type futureTask struct {
	d  *Delivery
	at time.Time
}

// claimsAhead reports whether this process claims tasks that are not due yet. It does not with MaxRate, Interval or MaxInFlight, which count a task
// when it is claimed.
func (c *Consumer) claimsAhead() bool {
	return c.o.Ahead >= time.Millisecond && c.o.MaxRate == 0 && c.o.Interval == 0 && c.o.MaxInFlight == nil
}

// offerOf is when a claimed member is offered, by the hot set's clock; 0: it was due when it was claimed. The answer to a repeated claim does not tell: the
// first claim looked ahead by Ahead, so that all of its members are due once that has passed.
func (c *Consumer) offerOf(got task.Batch, i int) int64 {
	if got.Repeated && c.claimsAhead() {
		return (got.AsOf.TimeUS+c.o.Ahead.Microseconds())/1000 + 1
	}
	return got.Claims[i].OfferMS
}

// dueAt is the local time at which the hot set's clock has certainly reached the time at which d is offered; zero if d was due when it was claimed.
func (d *Delivery) dueAt() time.Time {
	if d.offerMS == 0 {
		return time.Time{}
	}
	span := time.Duration(d.offerMS*1000-d.batch.clockUS) * time.Microsecond
	return d.batch.answered.Add(span + span/aheadDrift + 1)
}

// putAside keeps d until it is due. It reports whether d was not due yet. Under mu.
func (c *Consumer) putAside(d *Delivery) bool {
	at := d.dueAt()
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
	defer context.AfterFunc(ctx, c.future.alarm.Close)()
	for c.future.alarm.Wait() {
		c.returnQueued(ctx, c.handDue())
	}
}

// handDue hands out what is due by now. It returns what no caller is likely to take soon.
func (c *Consumer) handDue() (unwanted map[*batch][]*Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, now, n := &c.future, time.Now(), 0
	room := len(c.waiters) + c.settledLately.sum() - c.queue.len()
	unwanted = map[*batch][]*Delivery{}
	for ; n < len(f.tasks) && !now.Before(f.tasks[n].at); n++ {
		d := f.tasks[n].d
		switch {
		case !d.life.inBatch():
		case room > 0:
			c.handToWaiter(d)
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

// ahead is how many tasks may be claimed ahead now.
func (c *Consumer) ahead() int {
	if !c.claimsAhead() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	settled := int(time.Duration(c.settledLately.sum()) * c.o.Ahead / (time.Duration(len(c.settledLately.slots)) * slotLength))
	return max(0, len(c.waiters)+2*settled-len(c.future.tasks))
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
