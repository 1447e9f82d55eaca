package consumer_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// atOnce is how many Confirms go to the store each by itself; those that come after them go in
// one group.
const atOnce = 8

// untold confirms ten tasks of one batch, the last two in one group, while no removal
// without a token reaches the set. Another has deleted the row of one of the two, whose member is
// to stay where it is; all others go.
func untold(k *kit) (gone task.Ref) {
	k.Helper()
	k.run()
	got := make(chan *consumer.Delivery, atOnce+2)
	for range atOnce + 2 {
		go func() { got <- k.consume() }()
	}
	synctest.Wait()
	k.add(atOnce+2, false)
	k.store.held = make(chan struct{})
	k.set.unnamed(true)
	results := map[string]chan error{}
	for i := range atOnce + 2 {
		d := <-got
		if i == atOnce {
			gone = k.store.byID[d.ID].Ref
			k.deleteRow(d)
		}
		results[d.ID] = make(chan error, 1)
		go func() { results[d.ID] <- d.Confirm(k.Context()) }()
		synctest.Wait()
	}
	close(k.store.held)
	for id, result := range results {
		err := <-result
		if id == gone.ID && !errors.Is(err, task.ErrGone) || id != gone.ID && err != nil {
			k.Errorf("Confirm of %s: %v, want ErrGone of %s alone", id, err, gone.ID)
		}
	}
	if k.store.tries != atOnce+1 {
		k.Errorf("%d deletions, want %d: the last two in one", k.store.tries, atOnce+1)
	}
	if st := k.state(); st.Claimed != 1 || st.Waiting != 0 {
		k.Errorf("%d members are claimed and %d wait, want the one in its batch of which the set is still to be told", st.Claimed, st.Waiting)
	}
	if f := k.c.Figures(); f.Confirmed != atOnce+1 || f.InHand+f.Confirming != 0 {
		k.Errorf("figures are %+v, want %d confirmed and none in hand", f, atOnce+1)
	}
	return gone
}

// A Delete of which the set is still to be told is told that a worker had the task, though
// that has confirmed it, and its own removal failed.
func TestAFailedRemovalLeavesTheMemberForItsDelete(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		gone := untold(k)
		k.set.unnamed(false)
		for range 2 { // the Delete's, and the repeated one, in whatever order
			removed, err := k.set.Remove(k.Context(), 0, "", []task.Ref{gone})
			if err != nil || removed.Outcomes[0] != task.RemoveClaimed {
				k.Errorf("a removal answers %v, %v, want Claimed", removed.Outcomes, err)
			}
		}
		if st := k.state(); st.Claimed+st.Waiting != 0 {
			k.Errorf("the set holds %+v, want nothing", st)
		}
		k.stop()
	})
}

// If the removal is not repeated, because this process has died, the reaper meets the member: its
// lease ends, because the worker has nothing in hand.
func TestAFailedRemovalLeavesTheMemberForTheReaper(t *testing.T) {
	bubble(t, consumer.Options{Lease: 3 * time.Second}, func(k *kit) {
		gone := untold(k)
		<-time.After(4 * time.Second)
		expired, err := k.set.Expired(k.Context(), 0, 10, 0)
		if err != nil || len(expired) != 1 || len(expired[0].Refs) != 1 || expired[0].Refs[0] != gone {
			k.Errorf("the leases of %+v are over, %v; want that of %v", expired, err, gone)
		}
		k.stop()
	})
}
