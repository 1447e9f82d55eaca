package consumer

import "github.com/triggerhook/triggerhook/task"

// Task.Expires goes by the hot set's clock. The consumer compares it when a task is claimed, with the time of the claim, and once more
// when the task is handed to a caller, because it may have waited in between. The second time it takes the latest time that the hot set's
// clock may show, so no caller gets a task that has expired. The price is that a task may expire by a round trip too early.
//
// The consumer buries an expired task: buryGroup moves its row to the dead letters, and then removes its member.
// Until then the task stays in its batch. If the durable store is away the row stays, and each later claim compares again.

// mostUnasked is how many settlements that no caller asked for may be under way while more is claimed. Without a bound the claimer would
// claim expired tasks without end, because no caller gets them.
const mostUnasked = 10_000

// expired reports whether d has expired at a time of the hot set.
func (d *Delivery) expired(ms int64) bool { return d.expiresMS != 0 && ms > d.expiresMS }

// expiredNow reports whether d may have expired by now.
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
