package consumer

import (
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// rateWatch tells whether a partition's clock goes slower than the local one by more than ClaimAhead reckons with (aheadDrift), or was set back. A
// daemon may do that to correct a clock: chrony slews by up to a twelfth by default (maxslewrate). What is claimed ahead then would be early
// by that part of the time that it waits here, so nothing is claimed ahead while the watch says so.
type rateWatch struct {
	base      clockTimes // what later readings are compared with
	slowUntil time.Time  // until when the clock counts as slow
}

// clockTimes is one reading of a partition's clock, and the local times between which it was made.
type clockTimes struct {
	us             int64
	sent, answered time.Time
}

// lastReading is the last reading of the clock that a claim brought. If the clock was set back meanwhile it is before AsOf, but no more than the claim may
// have looked ahead, so that what it took does not wait for long.
func lastReading(b task.Batch) int64 {
	if b.ClockUS == 0 {
		return b.AsOf.TimeUS
	}
	return max(b.ClockUS, b.AsOf.TimeUS-task.MaxAhead.Microseconds())
}

const (
	// rateSpan is how old a reading becomes before a newer one takes its place. A difference of rates of one part in aheadDrift is a millisecond
	// in that time, and most round trips are shorter.
	rateSpan = time.Second
	// slowFor is how long a clock counts as slow after a reading has told so: longer than rateSpan, so that a clock that stays slow counts as
	// slow throughout.
	slowFor = 3 * time.Second
)

// note notes a reading.
func (w *rateWatch) note(r clockTimes) {
	if w.base.answered.IsZero() {
		w.base = r
		return
	}
	least := r.sent.Sub(w.base.answered) // by the local clock, between the two readings
	if passed := time.Duration(r.us-w.base.us) * time.Microsecond; passed < least-least/aheadDrift {
		w.slowUntil = r.answered.Add(slowFor)
	}
	if r.answered.Sub(w.base.answered) >= rateSpan {
		w.base = r
	}
}

// slow reports whether the clock counts as slow now.
func (w *rateWatch) slow() bool { return time.Now().Before(w.slowUntil) }
