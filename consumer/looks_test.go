package consumer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A caller that begins to wait wakes the claim loop, unless that looks in time by itself: when it has last seen that tasks are wanted, and may be
// claimed before they are due.
func TestACallerThatWaitsWakesTheClaimLoopIfThatDoesNotLook(t *testing.T) {
	for _, ahead := range []time.Duration{0, 25 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c, _, b := one(t, Options{Ahead: ahead, Queue: 100})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			wakes := func(ctx context.Context) bool {
				go func() { _, _ = c.next(ctx) }()
				synctest.Wait()
				select {
				case <-c.nudge:
					return true
				default:
					return false
				}
			}
			if !wakes(ctx) {
				t.Errorf("%s ahead: a caller does not wake a claim loop that has not looked yet", ahead)
			}
			if n, _ := c.wanted(); n != 1 {
				t.Fatalf("%d tasks are wanted, want 1", n)
			}
			if got := wakes(ctx); got != (ahead == 0) {
				t.Errorf("%s ahead: a second caller wakes the claim loop: %t", ahead, got)
			}
			leave()
			synctest.Wait()
			c.queue.push(b.members[0])
			if n, _ := c.wanted(); n != 0 {
				t.Fatalf("%d tasks are wanted while one is queued and no caller waits, want none", n)
			}
			c.queue.pop()
			if !wakes(t.Context()) {
				t.Errorf("%s ahead: a caller does not wake a claim loop that wants nothing", ahead)
			}
		})
	}
}
