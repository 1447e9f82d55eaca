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
