package consumer

import "github.com/triggerhook/triggerhook/task"

// Task.Expires goes by the hot set's clock. It is looked at when a task is claimed, by the time of the claim, and once more when it is
// handed to a caller, because it may have waited in between. The second look takes the latest time that the hot set's clock
// may show, so no caller gets a task that has expired; the price is that a task may expire by a round trip too early.
//
// An expired task is settled in the place of a caller: buryGroup moves its row to the dead letters, and then removes its member.
// Until then it stays in its batch. If the durable store is away the row stays, and each later claim looks again.

// mostUnasked is how many settlements that no caller asked for may be under way while more is claimed. Without a bound a
// claim of expired tasks, which no caller gets, would be followed by the next one at once.
const mostUnasked = 10_000

// expired reports whether d has expired at a time of the hot set.
func (d *Delivery) expired(ms int64) bool { return d.expiresMS != 0 && ms > d.expiresMS }

// expiredNow reports whether d, which is about to be handed out, may have expired.
func (c *Consumer) expiredNow(d *Delivery) bool {
	return d.expiresMS != 0 && d.expired(c.latest().UnixMilli())
}

// takeExpiry takes over when d expires.
func (d *Delivery) takeExpiry(ms int64) { d.expiresMS, d.Expires = ms, task.Expiry(ms) }

// buryExpired moves claimed tasks that have expired to the dead letters.
func (c *Consumer) buryExpired(ds []*Delivery) {
	if len(ds) == 0 {
		return
	}
	ids := make([]string, 0, len(ds))
	for _, d := range ds {
		ids = append(ids, d.own.ID)
		if _, err := d.settle(); err == nil {
			c.settler.bury(burial{d: d, reason: task.ReasonExpired})
		}
	}
	c.o.Report.Info("tasks have expired before they could be delivered: they become dead letters", "tasks", len(ids), "ids", name(ids))
}
