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

// What waited too long goes back to the hot set, also when that did not answer at
// first, and while another task of its batch is in hand for long.
func TestWhatCouldNotBeGivenBackIsGivenBackLater(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(30, false)
		k.run()
		for range 20 { // a quick caller: some are queued after it
			k.consume().ConfirmAsync()
			synctest.Wait()
		}
		d := k.consume()
		if k.c.Figures().Queued == 0 {
			k.Fatal("nothing is queued")
		}
		mute := func(yes bool) {
			k.set.mu.Lock()
			defer k.set.mu.Unlock()
			k.set.mute = yes
		}
		mute(true)
		<-time.After(3 * time.Second)
		mute(false)
		<-time.After(2 * time.Second)
		synctest.Wait()
		if st := k.state(); st.Claimed != 1 || st.Waiting != 9 {
			k.Errorf("%d tasks are claimed and %d wait, want 1 in hand and 9 waiting", st.Claimed, st.Waiting)
		}
		d.ConfirmAsync()
		k.stop()
	})
}

// The keeper registers a batch with a new generation while the claimer still reads the
// rows of its members. The race detector watches.
func TestABatchIsRegisteredWhileItsRowsAreRead(t *testing.T) {
	for range 20 {
		bubble(t, consumer.Options{}, registerWhileReading)
	}
}

func registerWhileReading(k *kit) {
	read := make(chan struct{})
	k.set.lostTasks, k.set.aborted, k.store.unread = true, 1, read
	k.add(10, false)
	k.run()
	got := make(chan *consumer.Delivery)
	go func() { got <- k.consume() }()
	<-time.After(1500 * time.Millisecond) // the claimer reads, and the keeper's beat has met the new generation
	close(read)
	d := <-got
	if d.ID == "" || string(d.Payload) != d.ID || d.Due.Year() < 2000 {
		k.Errorf("delivered id %q, payload %q, due %s: want what the row has", d.ID, d.Payload, d.Due)
	}
	d.ConfirmAsync()
	k.stop()
}

// The hot set does not answer for a moment while a worker stops: what waits in its queue, and
// what its callers have not answered, is given back before Run returns.
func TestAStopGivesBackWhatTheHotSetDidNotTakeAtOnce(t *testing.T) {
	for name, drain := range map[string]time.Duration{"within Drain": 10 * time.Second, "after a short Drain": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			bubble(t, consumer.Options{Drain: drain}, func(k *kit) {
				k.add(30, false)
				k.run()
				for range 20 {
					k.consume().ConfirmAsync()
					synctest.Wait()
				}
				d := k.consume()
				if k.c.Figures().Queued == 0 {
					k.Fatal("nothing is queued")
				}
				mute := func(yes bool) {
					k.set.mu.Lock()
					defer k.set.mu.Unlock()
					k.set.mute = yes
				}
				mute(true)
				time.AfterFunc(drain+1500*time.Millisecond, func() { mute(false) })
				k.stop()
				if st := k.state(); st.Claimed != 0 || st.Waiting != 10 {
					k.Errorf("%d tasks are claimed and %d wait once Run has returned, want 0 and 10", st.Claimed, st.Waiting)
				}
				if cause := context.Cause(d.Context()); !errors.Is(cause, task.ErrClosed) {
					k.Errorf("the delivery in hand ended because of %v, want ErrClosed", cause)
				}
			})
		})
	}
}

// What a Rollback moved in the durable store, and could not add to the hot set, is added later,
// also if it is not known whether it was moved.
func TestAPostponedTaskThatWasNotAddedIsAddedLater(t *testing.T) {
	for name, spoil := range map[string]func(k *kit){
		"the add fails": func(k *kit) { k.set.unadded = true },
		"the move is not answered": func(k *kit) {
			k.store.moveLost = 1 << 30
			k.set.set(true) // no extension arrives, so the tries end with the lease
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, consumer.Options{}, func(k *kit) {
				k.add(1, false)
				k.run()
				d := k.consume()
				k.set.noEntries = true
				spoil(k)
				_ = d.Rollback(k.Context(), time.Second) // of what is lost it may say so
				row := k.store.byID[d.ID]
				if row.PrevVer == 0 {
					k.Fatalf("the row was not moved: %+v", row)
				}
				if len(k.later) != 1 || k.later[0] != row.Ref {
					k.Errorf("%v is to be added later, want %v", k.later, row.Ref)
				}
				k.stop()
			})
		})
	}
}
