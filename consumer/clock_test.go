package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// An answer that took long tells the hot set's time only roughly: what is put off
// by it is put off from the latest that it may be, never from before.
func TestASlowAnswerCutsNoDelayShort(t *testing.T) {
	const slow = 200 * time.Millisecond
	hot := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC) // the hot set's clock is years behind
	now := time.Now()
	var c Consumer
	c.observe(task.Batch{AsOf: task.AsOf{TimeUS: hot.UnixMicro()}}, now.Add(-slow), now) // it was read at once, and the answer took all the time
	if got, truth := c.latest(), hot.Add(slow); got.Before(truth) || got.After(truth.Add(time.Minute)) {
		t.Errorf("latest is %s, want %s or soon after", got, truth)
	}
	if got := c.reading.now().Sub(hot); got < slow/2 || got > time.Minute {
		t.Errorf("now is %s after the clock was read, want about %s", got, slow/2)
	}
}

// When a task is due is known on the monotonic clock: setting the
// machine's clock back by an hour makes nothing late.
func TestDueTimesAreKnownOnTheMonotonicClock(t *testing.T) {
	var c Consumer
	now := time.Now()
	c.observe(task.Batch{AsOf: task.AsOf{TimeUS: now.UnixMicro()}}, now, now)
	at := c.local(now.UnixMilli() + 5000)
	if !strings.Contains(at.String(), " m=") {
		t.Errorf("%s has no monotonic reading", at)
	}
	if d := at.Sub(now); d < 4*time.Second || d > 6*time.Second {
		t.Errorf("due in %s, want 5s", d)
	}
}

// The last reading of a clock that was set back while a claim was under way counts, within bounds.
func TestTheLastReadingOfAClockCounts(t *testing.T) {
	const asOf = 1_000_000_000_000_000
	least := asOf - task.MaxAhead.Microseconds()
	for read, want := range map[int64]int64{0: asOf, asOf + 300: asOf + 300, asOf - 300: asOf - 300, least: least, least - 1: least, 1: least} {
		if got := lastReading(task.Batch{AsOf: task.AsOf{TimeUS: asOf}, ClockUS: read}); got != want {
			t.Errorf("a claim as of %d that read the clock at %d goes by %d, want %d", asOf, read, got, want)
		}
	}
}

// A claim that took long by the hot set's clock was made before its middle: the time between its readings is no part of the ways there and back.
func TestTheTimeOfAClaimIsNoPartOfItsWays(t *testing.T) {
	hot := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	now := time.Now()
	var c Consumer
	c.observe(task.Batch{AsOf: task.AsOf{TimeUS: hot.UnixMicro()}, ClockUS: hot.Add(8 * time.Second).UnixMicro()}, now.Add(-10*time.Second), now)
	if got := c.reading.now().Sub(hot); got < 9*time.Second || got > 10*time.Second {
		t.Errorf("when the answer comes the clock shows %s after the claim began, want 9 s: 8 s of the claim, and half of the 2 s that its ways took", got)
	}
}
