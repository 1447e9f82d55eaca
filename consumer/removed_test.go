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

// remove takes the task out of the hot set, as a Delete or Reschedule does of what a worker has claimed.
func (k *kit) remove(ref task.Ref) {
	k.Helper()
	if _, err := k.set.Remove(k.Context(), 0, "", []task.Ref{ref}); err != nil {
		k.Fatal(err)
	}
	synctest.Wait()
}

// The handler of a task that is deleted learns of it at once, and not at the next extension.
func TestADeletionEndsTheDeliveryAtOnce(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(2, false)
		k.run()
		gone, kept := k.consume(), k.consume()
		ref := k.store.byID[gone.ID].Ref
		k.deleteRow(gone)
		k.remove(ref)
		if cause := context.Cause(gone.Context()); !errors.Is(cause, task.ErrGone) {
			t.Errorf("the context of what was deleted ended with %v, want ErrGone", cause)
		}
		if err := kept.Context().Err(); err != nil {
			t.Errorf("the context of another task ended: %v", err)
		}
		if err := kept.Confirm(k.Context()); err != nil {
			t.Errorf("Confirm: %v", err)
		}
		k.stop()
	})
}

// A task that is deleted or moved after it was claimed ahead is not delivered, if there is time to hear of it.
func TestWhatIsDeletedAfterItWasClaimedAheadIsNotDelivered(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		came, stop := k.takers(4)
		k.claimedAhead(2)
		k.store.mu.Lock()
		ref := k.store.byID[taskID(0)].Ref
		delete(k.store.byID, taskID(0))
		k.store.mu.Unlock()
		k.remove(ref)
		<-time.After(time.Second)
		if _, is := came.Load(taskID(0)); is {
			t.Error("what was deleted 3 ms before it was due came")
		}
		if _, is := came.Load(taskID(1)); !is {
			t.Error("the other task did not come")
		}
		stop()
		k.stop()
	})
}

// What cannot be asked for, as the store is away, stays: the next extension asks again.
func TestARemovalThatCannotBeAskedForIsAskedForAtTheNextBeat(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		ref := k.store.byID[d.ID].Ref
		k.store.set(true)
		k.deleteRow(d)
		k.remove(ref)
		if err := d.Context().Err(); err != nil {
			t.Errorf("its context ended with %v while the store was away", context.Cause(d.Context()))
		}
		k.store.set(false)
		<-time.After(1100 * time.Millisecond)
		if cause := context.Cause(d.Context()); !errors.Is(cause, task.ErrGone) {
			t.Errorf("its context ended with %v, want ErrGone", cause)
		}
		k.stop()
	})
}
