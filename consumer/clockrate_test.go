package consumer_test

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
)

// While the hot set's clock is slewed, as chrony does it, nothing is claimed ahead, so that nothing is early but what the first claim had taken by then.
// After that claims look ahead again.
func TestNothingIsClaimedAheadByAClockThatIsSlow(t *testing.T) {
	began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // as in each bubble
	slew, over := began.Add(2*time.Second), began.Add(8*time.Second)
	hot := func(at time.Time) time.Time { // a twelfth slower for six seconds
		slewed := max(0, min(at.Sub(slew), over.Sub(slew)))
		return at.Add(-slewed / 12)
	}
	bubbleBy(t, func() time.Time { return hot(time.Now()) }, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		came, stop := k.takers(8)
		due := map[string]time.Time{}
		for i := range 400 { // from the third second on to the eighth
			k.in = 3*time.Second + time.Duration(13*i)*time.Millisecond
			k.addFrom(i, 1)
			due[taskID(i)] = time.Now().Add(k.in).Truncate(time.Millisecond)
		}
		for i, in := range []time.Duration{20 * time.Second, 24 * time.Second, 24500 * time.Millisecond} {
			k.in = in
			k.addFrom(400+i, 1)
		}
		<-time.After(9 * time.Second)
		if k.set.ahead() != 0 {
			t.Errorf("a claim looked %s ahead while the clock was slow", k.set.ahead())
		}
		for i := range 400 {
			got, ok := came.Load(taskID(i))
			if !ok {
				t.Fatalf("%s did not come", taskID(i))
			}
			most := time.Duration(0)
			if i < 3 { // the first claim took these
				most = ahead/12 + time.Millisecond
			}
			if early := due[taskID(i)].Sub(hot(got.(time.Time))); early > most {
				t.Errorf("%s came %s early", taskID(i), early)
			}
		}
		<-time.After(17 * time.Second)
		if _, ok := came.Load(taskID(402)); !ok || k.set.ahead() != ahead {
			t.Errorf("long after the clock was slow a claim looked %s ahead, and brought the last task: %t", k.set.ahead(), ok)
		}
		if n := k.set.tried(); n > 1500 { // each finds that no more is due for now
			t.Errorf("400 tasks of as many moments took %d claims", n)
		}
		stop()
		k.stop()
	})
}
