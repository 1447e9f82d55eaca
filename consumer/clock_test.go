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
	c.observe(task.AsOf{TimeUS: hot.UnixMicro()}, now.Add(-slow), now) // it was read at once, and the answer took all the time
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
	c.observe(task.AsOf{TimeUS: now.UnixMicro()}, now, now)
	at := c.local(now.UnixMilli() + 5000)
	if !strings.Contains(at.String(), " m=") {
		t.Errorf("%s has no monotonic reading", at)
	}
	if d := at.Sub(now); d < 4*time.Second || d > 6*time.Second {
		t.Errorf("due in %s, want 5s", d)
	}
}
