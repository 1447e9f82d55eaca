package consumer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

func TestStopReturnsTheQueueAndWaitsForWhatIsInHand(t *testing.T) {
	bubble(t, consumer.Options{Lease: 3 * time.Second}, func(k *kit) {
		k.add(100, false)
		k.run()
		for range 30 {
			k.consume().ConfirmAsync()
			synctest.Wait()
		}
		d := k.consume()
		if k.c.Figures().Queued == 0 {
			k.Fatal("nothing is queued")
		}
		stopped := make(chan struct{})
		go func() { k.stop(); close(stopped) }()
		<-time.After(10 * time.Second)
		if st := k.state(); st.Claimed != 1 {
			k.Errorf("%d tasks are claimed while the drain waits, want the one in hand", st.Claimed)
		}
		if _, err := k.c.Consume(k.Context()); !errors.Is(err, task.ErrClosed) {
			k.Errorf("Consume during the drain: %v, want ErrClosed", err)
		}
		if d.Context().Err() != nil {
			k.Error("the context ended before the drain time was over")
		}
		at := time.Now()
		if err := d.Confirm(k.Context()); err != nil {
			k.Errorf("Confirm during the drain: %v", err)
		}
		<-stopped
		if took := time.Since(at); took > time.Second {
			k.Errorf("Run returned %s after the last answer", took)
		}
	})
}

// A caller whose task was deleted may leave without an answer: nothing waits for one.
func TestStopDoesNotWaitForWhatWasDeleted(t *testing.T) {
	bubble(t, consumer.Options{Lease: 3 * time.Second}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		refs := []task.Ref{{ID: d.ID, Ver: 1}}
		if _, err := k.store.Delete(k.Context(), refs); err != nil {
			k.Fatal(err)
		}
		if _, err := k.set.Remove(k.Context(), 0, "", refs); err != nil {
			k.Fatal(err)
		}
		<-d.Context().Done()
		if f := k.c.Figures(); f.InHand != 0 {
			k.Errorf("%d are in hand, want none: the task was deleted", f.InHand)
		}
		at := time.Now()
		k.stop()
		if took := time.Since(at); took > time.Second {
			k.Errorf("Run returned after %s, want at once", took)
		}
		if err := d.Confirm(k.Context()); !errors.Is(err, task.ErrGone) {
			k.Errorf("Confirm of what was deleted: %v, want ErrGone", err)
		}
	})
}

func TestStopGivesUpWhatIsNotAnsweredInTime(t *testing.T) {
	bubble(t, consumer.Options{Drain: 5 * time.Second}, func(k *kit) {
		k.add(2, false)
		k.run()
		d, late := k.consume(), k.consume()
		at := time.Now()
		k.stop()
		if took := time.Since(at); took < 5*time.Second || took > 6*time.Second {
			k.Errorf("Run returned after %s, want after the drain of 5 s", took)
		}
		if cause := context.Cause(d.Context()); !errors.Is(cause, task.ErrClosed) {
			k.Errorf("the context ended because of %v, want ErrClosed", cause)
		}
		if st := k.state(); st.Waiting != 2 || st.Claimed != 0 {
			k.Errorf("the set holds %+v, want both waiting", st)
		}
		if err := d.Confirm(k.Context()); err != nil {
			k.Errorf("Confirm after Run, while the row stands: %v", err)
		}
		if err := late.Rollback(k.Context(), 0); err != nil {
			k.Errorf("Rollback after Run: %v", err)
		}
		if st := k.state(); st.Waiting != 1 {
			k.Errorf("the set holds %+v, want the one that was not confirmed", st)
		}
	})
}

// With the store away a drain ends nevertheless, and says what it could not do.
func TestStopEndsWhileTheStoreIsAway(t *testing.T) {
	bubble(t, consumer.Options{Drain: 5 * time.Second}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		k.store.set(true)
		result := make(chan error, 1)
		go func() { result <- d.Confirm(context.Background()) }()
		at := time.Now()
		k.stop()
		if took := time.Since(at); took > 8*time.Second {
			k.Errorf("Run returned after %s", took)
		}
		if err := <-result; !errors.Is(err, task.ErrUnavailable) {
			k.Errorf("Confirm: %v, want ErrUnavailable", err)
		}
	})
}

// The hot set hangs, and takes many calls: of 100 batches, the rows of half of which were deleted by others, so that
// each of these is told apart. The drain takes no longer for that.
func TestStopEndsWhileTheHotSetHangs(t *testing.T) {
	bubble(t, consumer.Options{Drain: 5 * time.Second}, func(k *kit) {
		k.run()
		k.add(100, false)
		var all []*consumer.Delivery
		for range 100 { // one at a time, as at a low rate
			all = append(all, k.consume())
		}
		k.set.mu.Lock()
		k.set.hung = true
		k.set.mu.Unlock()
		for i, d := range all {
			if i%2 == 0 {
				k.deleteRow(d)
			}
			d.ConfirmAsync()
		}
		<-time.After(time.Second)
		at := time.Now()
		k.stop()
		if took := time.Since(at); took > 10*time.Second {
			k.Errorf("Run returned after %s, want little more than Drain and a call, 7 s", took)
		}
		if n := k.store.len(); n > 0 {
			k.Errorf("%d rows are left, want none", n)
		}
	})
}

// What a claim takes that is under way when Run ends goes back at once.
func TestStopDuringAClaimGivesBackWhatItTakes(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.set.slowClaim = time.Second
		k.run()
		ctx, cancel := context.WithCancel(k.Context())
		go func() { _, _ = k.c.Consume(ctx) }()
		<-time.After(time.Second)
		k.add(1, false)
		<-time.After(500 * time.Millisecond)
		if st := k.state(); st.Claimed != 1 {
			k.Fatalf("the set holds %+v, want a claim under way", st)
		}
		k.stop()
		cancel()
		if st := k.state(); st.Claimed != 0 || st.Waiting != 1 {
			k.Errorf("the set holds %+v after Run, want the task waiting", st)
		}
	})
}
