package consumer

import (
	"sync/atomic"
	"time"
)

// LatenessBounds are the upper bounds of the lateness histogram.
var LatenessBounds = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

// figures are counters of this process.
type figures struct {
	sent, redelivered, confirmed, rolledBack, timedOut, leasesLost atomic.Uint64
	late                                                           [32]atomic.Uint64
	lateSum                                                        atomic.Int64
}

func (f *figures) delivered(tries int, late time.Duration) {
	f.sent.Add(1)
	if tries > 0 {
		f.redelivered.Add(1)
		return // late by its delay, which is no lateness
	}
	i := 0
	for i < len(LatenessBounds) && late > LatenessBounds[i] {
		i++
	}
	f.late[i].Add(1)
	f.lateSum.Add(int64(max(late, 0)))
}

// Figures are what this process did since it began, and holds now.
type Figures struct {
	Delivered, Redelivered, Confirmed, RolledBack, TimedOut, LeasesLost uint64

	Queued     int64 // claimed, and waiting in this process for a Consume
	InHand     int64 // delivered, and neither answered nor deleted yet
	Stuck      int64 // handlers that have run for longer than DeliveryTimeout; what they have not answered is in hand
	Confirming int64 // answered by their consumers, and waiting for the stores
	// Lateness counts first deliveries by how late they were: Lateness[i] those
	// up to LatenessBounds[i] and beyond the one before, the last all others.
	Lateness    []uint64
	LatenessSum time.Duration
	// ClockOffset is the hot set's clock minus this process's, as last measured.
	ClockOffset time.Duration
}

// Figures returns the figures of this process. No I/O.
func (c *Consumer) Figures() Figures {
	f := &c.figures
	out := Figures{Delivered: f.sent.Load(), Redelivered: f.redelivered.Load(), Confirmed: f.confirmed.Load(), RolledBack: f.rolledBack.Load(),
		TimedOut: f.timedOut.Load(), LeasesLost: f.leasesLost.Load(), LatenessSum: time.Duration(f.lateSum.Load())}
	for i := range len(LatenessBounds) + 1 {
		out.Lateness = append(out.Lateness, f.late[i].Load())
	}
	out.Stuck = int64(c.handlers.Load().Stuck())
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Queued, out.Confirming, out.ClockOffset = int64(c.queue.len()), int64(c.answering-c.returning), c.sight.now().Sub(time.Now().Round(0))
	out.InHand = max(0, int64(c.inHand)-out.Confirming)
	return out
}
