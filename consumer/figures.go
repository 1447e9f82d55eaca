package consumer

import (
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// figures are counters of this process.
type figures struct {
	sent, redelivered, confirmed, rolledBack, snoozed, timedOut, leasesLost, exhausted, discarded, expired atomic.Uint64
	late                                                                                                   lateness // under Consumer.mu
}

// delivered counts a delivery. Under Consumer.mu.
func (f *figures) delivered(failedAttempts int, late time.Duration) {
	f.sent.Add(1)
	if failedAttempts > 0 {
		f.redelivered.Add(1)
		return // the delay before a further attempt is no lateness
	}
	f.late.add(late)
}

// gaveBack counts a delivery that was given back.
func (f *figures) gaveBack(back redelivery) {
	if back.counted {
		f.rolledBack.Add(1)
	} else {
		f.snoozed.Add(1)
	}
}

// buried counts a task that became a dead letter.
func (f *figures) buried(reason string) {
	switch {
	case reason == task.ReasonExpired:
		f.expired.Add(1)
	case reason == task.ReasonAttempts:
		f.exhausted.Add(1)
	default:
		f.discarded.Add(1)
	}
}

// Figures are what this process did since it began, and has now.
type Figures struct {
	Delivered   uint64 // deliveries that Consume returned
	Redelivered uint64 // of these, the ones that were not their task's first
	Confirmed   uint64 // tasks whose rows a confirm of this process deleted
	RolledBack  uint64 // deliveries that were given back, by callers or by DeliveryTimeout
	Snoozed     uint64 // deliveries that were postponed by a Snooze, which counts no attempt
	TimedOut    uint64 // deliveries that were not settled within DeliveryTimeout, nor as soon as their Context ended
	Exhausted   uint64 // tasks that became dead letters because their last attempt had failed
	Discarded   uint64 // tasks that became dead letters because their handler discarded them
	Expired     uint64 // tasks that became dead letters because they had expired
	LeasesLost  uint64 // batches whose lease ran out while this process had tasks of them

	Queued     int64 // claimed, and waiting in this process for a Consume
	InHand     int64 // delivered, not settled yet, and not known to be deleted
	Stuck      int64 // handlers that have run for longer than DeliveryTimeout; what they have not settled is in hand
	Confirming int64 // settled by their callers, and waiting for the stores
	// Lateness counts first deliveries by how late they were: Lateness[i] those
	// up to LatenessBounds[i] and beyond the one before, the last all others.
	Lateness    []uint64
	LatenessSum time.Duration // of all first deliveries
	// LatenessExp counts the same deliveries in the buckets of a native histogram of LatenessSchema, by index: that of
	// index i holds what was later than 2^((i-1)/8) s, up to 2^(i/8) s. LatenessZero are those up to LatenessZeroThreshold s.
	LatenessExp  map[int]int64
	LatenessZero uint64 // first deliveries up to LatenessZeroThreshold
	// ClockOffset is the hot set's clock minus this process's, as last measured.
	ClockOffset time.Duration
}

// Figures returns the figures of this process. No I/O.
func (c *Consumer) Figures() Figures {
	f := &c.figures
	out := Figures{Delivered: f.sent.Load(), Redelivered: f.redelivered.Load(), Confirmed: f.confirmed.Load(), RolledBack: f.rolledBack.Load(),
		Snoozed: f.snoozed.Load(), TimedOut: f.timedOut.Load(), Exhausted: f.exhausted.Load(), Discarded: f.discarded.Load(),
		Expired: f.expired.Load(), LeasesLost: f.leasesLost.Load()}
	out.Stuck = int64(c.handlers.Load().Stuck())
	c.mu.Lock()
	defer c.mu.Unlock()
	f.late.fill(&out)
	out.Queued, out.Confirming, out.ClockOffset = int64(c.queue.len()+len(c.future.tasks)), int64(c.settling-c.unasked), c.reading.now().Sub(time.Now().Round(0))
	out.InHand = max(0, int64(c.held)-out.Confirming)
	return out
}
