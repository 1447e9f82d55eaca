package consumer

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// A process that stood still wakes up: its tasks' lease is over, and no timer has
// said so yet.
func TestWhatLostItsLeaseIsNotHandedOut(t *testing.T) {
	c := New(nil, nil, Options{Lease: time.Minute, Report: &report.Reporter{}})
	claims := []task.Claim{{Entry: task.Entry{Ref: task.Ref{ID: "a", Ver: 1}}}}
	for ago, want := range map[time.Duration]bool{time.Minute: false, 59 * time.Second: true} {
		b := c.begin(0, task.Batch{Token: "t", Claims: claims}, time.Now().Add(-time.Second))
		b.timer.Stop()
		b.deadline = time.Now().Add(time.Minute - ago)
		if got := c.hand(b.members[0]); got != want {
			t.Errorf("claimed %s ago under a lease of a minute, handed out: %v", ago, got)
		}
	}
}

// Nor is a batch extended or registered whose deadline has passed: who has its
// tasks by now may have lost its own lease with the server's data.
func TestABatchWhoseDeadlineHasPassedIsNotExtended(t *testing.T) {
	c := New(nil, nil, Options{Lease: time.Minute, Report: &report.Reporter{}})
	claims := []task.Claim{{Entry: task.Entry{Ref: task.Ref{ID: "a", Ver: 1}}}}
	for token, left := range map[string]time.Duration{"late": 0, "early": time.Minute} {
		b := c.begin(0, task.Batch{Token: token, Claims: claims}, time.Now())
		b.timer.Stop()
		b.deadline = time.Now().Add(left)
	}
	if got := c.live()[0]; len(got) != 1 || got[0].token != "early" {
		t.Errorf("%d batches are to be extended, want the one whose deadline is ahead", len(got))
	}
}
