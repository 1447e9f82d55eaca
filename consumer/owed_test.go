package consumer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
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
