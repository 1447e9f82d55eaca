package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// A process that stood still wakes up: its tasks' lease is over, and no timer has
// said so yet.
func TestWhatLostItsLeaseIsNotHandedOut(t *testing.T) {
	c := New(nil, nil, Options{Lease: time.Minute, Report: &report.Reporter{}})
	claims := []task.Claim{{Entry: task.Entry{Ref: task.Ref{ID: "a", Ver: 1}}}}
	for ago, want := range map[time.Duration]bool{time.Minute: false, 59 * time.Second: true} {
		b := c.addBatch(0, task.Batch{Token: "t", Claims: claims}, time.Now().Add(-time.Second), time.Now())
		b.timer.Stop()
		b.deadline = time.Now().Add(time.Minute - ago)
		if got, _ := c.hand(b.members[0]); got != want {
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
		b := c.addBatch(0, task.Batch{Token: token, Claims: claims}, time.Now(), time.Now())
		b.timer.Stop()
		b.deadline = time.Now().Add(left)
	}
	if got := c.live()[0]; len(got) != 1 || got[0].token != "early" {
		t.Errorf("%d batches are to be extended, want the one whose deadline is ahead", len(got))
	}
}

// A machine that was suspended wakes up: its monotonic clock stood still, the leases
// may be over by the other one. Or that one was set: the task is not lost then.
func TestWhatWasSuspendedIsGivenBack(t *testing.T) {
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := set.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 50, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: []task.Entry{{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: 1}}}); err != nil {
		t.Fatal(err)
	}
	c := New(set, nil, Options{Lease: time.Minute, Report: &report.Reporter{}})
	close(c.running)
	got, err := set.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	b := c.addBatch(0, got, time.Now(), time.Now())
	defer b.timer.Stop()
	b.ends = b.ends.Add(-time.Minute)
	c.queue.push(b.members[0])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if d, err := c.Consume(ctx); err == nil {
		t.Errorf("%s was handed out", d.ID)
	}
	if st, err := set.State(t.Context(), 0); err != nil || st.Waiting != 1 || st.Claimed != 0 {
		t.Errorf("the set holds %+v, %v, want the task waiting", st, err)
	}
}

// A Consume had taken a task and not yet returned when the drain began, which gives
// back what no caller has in hand.
func TestNothingIsHandedOutDuringADrain(t *testing.T) {
	c := New(nil, nil, Options{Lease: time.Minute, Report: &report.Reporter{}})
	claims := []task.Claim{{Entry: task.Entry{Ref: task.Ref{ID: "a", Ver: 1}}}}
	b := c.addBatch(0, task.Batch{Token: "t", Claims: claims}, time.Now(), time.Now())
	defer b.timer.Stop()
	c.stage = draining
	if handed, _ := c.hand(b.members[0]); handed {
		t.Error("it was handed out, and is given back")
	}
}
