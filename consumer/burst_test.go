package consumer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
)

func TestABurstIsDeliveredBeforeItIsConfirmed(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held = make(chan struct{})
		k.load(far)
		k.add(6000, false) // of those that are left behind the worker's queue takes 1000 at most
		k.run()
		for range 4000 {
			k.consume().ConfirmAsync()
		}
		synctest.Wait()
		if now, most := k.store.deletions(); now != 1 || most != 1 {
			k.Errorf("while tasks are due %d deletions are under way, there were %d at once; want 1", now, most)
		}
		for range 2000 {
			k.consume().ConfirmAsync()
		}
		close(k.store.held)
		<-time.After(time.Second)
		if n := k.store.len(); n > 0 {
			k.Errorf("a second after the burst %d rows are left", n)
		}
	})
}

// A worker knows that more is due before it hands out what it has claimed: who confirms at
// once is to yield. Here it hangs between two tasks of one claim, for it reads the payload
// of a third.
func TestAWorkerKnowsOfABurstBeforeItHandsItOut(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held, k.store.unread = make(chan struct{}), make(chan struct{})
		k.load(far)
		k.run()
		got := make(chan *consumer.Delivery, 3)
		for range 3 {
			go func() { got <- k.consume() }()
		}
		synctest.Wait()
		k.addAll(4, func(i int) bool { return i == 2 })
		for range 2 {
			(<-got).ConfirmAsync()
			synctest.Wait()
		}
		if now, _ := k.store.deletions(); now != 1 {
			k.Errorf("while a fourth task is due %d deletions are under way, want 1", now)
		}
		close(k.store.held)
		close(k.store.unread)
		(<-got).ConfirmAsync()
		k.stop()
	})
}

// Once nothing is due any more confirms have all flights that there are.
func TestAfterABurstItIsConfirmedAtOnce(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held = make(chan struct{})
		k.load(far)
		k.add(5000, false)
		k.run()
		for range 5000 {
			k.consume().ConfirmAsync()
		}
		synctest.Wait()
		if now, _ := k.store.deletions(); now < 5 {
			k.Errorf("after the burst %d deletions are under way, want one for each 1000 confirms", now)
		}
		close(k.store.held)
	})
}

func TestABacklogIsConfirmedAsItIsDelivered(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.load(far)
		k.add(20_000, false)
		k.run()
		consume := func(n int) {
			for range n {
				k.consume().ConfirmAsync()
			}
			synctest.Wait()
		}
		for range 60 {
			consume(100)
			<-time.After(100 * time.Millisecond)
		}
		k.store.held = make(chan struct{})
		consume(3000)
		if now, _ := k.store.deletions(); now < 2 {
			k.Errorf("after 6 s of a backlog %d deletions are under way, want several", now)
		}
		close(k.store.held)
	})
}

// What is due may still be in the durable store: the feeder tells how far it is.
func TestARowThatIsDueAndNotLoadedIsDueToo(t *testing.T) {
	for _, c := range []struct {
		loaded time.Duration // from now
		flies  int
	}{{-time.Hour, 1}, {time.Hour, 2}} {
		bubble(t, consumer.Options{}, func(k *kit) {
			k.store.held = make(chan struct{})
			k.load(time.Now().Add(c.loaded).UnixMilli())
			k.add(2, false)
			k.run()
			first, second := k.consume(), k.consume()
			first.ConfirmAsync()
			<-time.After(110 * time.Millisecond) // so that the second one does not linger
			second.ConfirmAsync()
			synctest.Wait()
			if now, _ := k.store.deletions(); now != c.flies {
				k.Errorf("loaded is at %s from now: %d deletions are under way, want %d", c.loaded, now, c.flies)
			}
			close(k.store.held)
		})
	}
}

// hungry has confirmed 8000 tasks, of which one deletion hangs, and waits for one more that
// is due and not loaded.
func hungry(k *kit) {
	k.store.held = make(chan struct{})
	k.load(1)
	k.add(8000, false)
	k.run()
	for range 8000 {
		k.consume().ConfirmAsync()
	}
	go func() { _, _ = k.c.Consume(k.Context()) }()
}

// The feeder may find that there are no more such rows: nothing wakes a worker then.
func TestABurstEndsWhenTheRowsThatAreDueAreLoaded(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		hungry(k)
		<-time.After(30 * time.Millisecond)
		k.load(far)
		<-time.After(60 * time.Millisecond)
		if now, _ := k.store.deletions(); now != 8 {
			k.Errorf("once all is loaded %d deletions are under way, want 8", now)
		}
		close(k.store.held)
		k.stop()
	})
}

// Nor does it have to be told that only confirms make room for rows that are due.
func TestABurstEndsWhenClaimsGetNothing(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		hungry(k)
		for _, x := range []struct {
			after time.Duration
			want  int
		}{{90 * time.Millisecond, 1}, {40 * time.Millisecond, 8}} {
			<-time.After(x.after)
			if now, _ := k.store.deletions(); now != x.want {
				k.Errorf("%s later %d deletions are under way, want %d", x.after, now, x.want)
			}
		}
		close(k.store.held)
		k.stop()
	})
}

func TestWhoWaitsForAConfirmDoesNotWaitForABurst(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held = make(chan struct{})
		k.load(far)
		k.add(5000, false)
		k.run()
		for range 100 {
			k.consume().ConfirmAsync()
		}
		done := make(chan error, 1)
		d := k.consume()
		go func() { done <- d.Confirm(k.Context()) }()
		synctest.Wait()
		if now, _ := k.store.deletions(); now != 2 {
			k.Errorf("%d deletions are under way, want one that a caller waits for beside the other", now)
		}
		close(k.store.held)
		if err := <-done; err != nil {
			k.Errorf("Confirm: %v", err)
		}
	})
}

// A deletion that hangs does not hold up all others for as long as tasks are due.
func TestABurstWaitsForNoDeletionThatHangs(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held = make(chan struct{})
		k.load(far)
		k.add(5000, false)
		k.run()
		for range 3 {
			k.consume().ConfirmAsync()
			synctest.Wait()
		}
		<-time.After(1100 * time.Millisecond)
		if now, _ := k.store.deletions(); now != 2 {
			k.Errorf("a second after one that hangs %d deletions are under way, want 2", now)
		}
		close(k.store.held)
	})
}
