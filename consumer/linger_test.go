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

// How long a confirm may wait for others, at most: while fewer than 20 wait, and once 20 do.
const (
	lingerFew  = 100 * time.Millisecond
	lingerMany = 20 * time.Millisecond
)

// deletionsTried is how many deletions were tried.
func (k *kit) deletionsTried() int {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	return k.store.tries
}

// confirmEach has n tasks due, one each interval, and confirms them without waiting. It fails the test if a row outlives its
// confirm by more than that.
func (k *kit) confirmEach(n int, interval, linger time.Duration) {
	k.Helper()
	confirmed := 0
	tick := time.NewTicker(interval)
	defer tick.Stop()
	due := map[time.Time]int{} // by when a row is to be gone: how many
	for confirmed < n {
		<-tick.C
		k.addFrom(confirmed, 1)
		k.consume().ConfirmAsync()
		confirmed++
		due[time.Now().Add(linger)] = confirmed
		synctest.Wait()
		for at, all := range due {
			if time.Now().After(at) && confirmed-k.store.len() < all {
				k.Fatalf("after %d confirms, one each %s, %d rows are gone; %s ago %d were confirmed", confirmed, interval, confirmed-k.store.len(), linger, all)
			}
		}
	}
}

func TestConfirmsThatNothingWaitsForShareAStatement(t *testing.T) {
	for _, c := range []struct {
		interval, linger time.Duration
		most             int // deletions of 1,000 confirms
	}{{time.Millisecond, lingerMany, 1000/20 + 2}, {3 * time.Millisecond, 60 * time.Millisecond, 1000/20 + 2}, {10 * time.Millisecond, lingerFew, 1000/10 + 2}, {40 * time.Millisecond, lingerFew, 1000/3 + 2}} {
		bubble(t, consumer.Options{}, func(k *kit) {
			k.load(far)
			k.run()
			k.confirmEach(1000, c.interval, c.linger)
			<-time.After(lingerFew)
			synctest.Wait()
			if tries := k.deletionsTried(); tries > c.most || k.store.len() > 0 {
				k.Errorf("%d deletions of 1000 confirms, one each %s, of which %d are left; want at most %d and none", tries, c.interval, k.store.len(), c.most)
			}
			k.stop()
		})
	}
}

// confirmsAtOnce starts two confirms of ConfirmAsync at one moment, and then what is done in between, and fails the test if the second
// one has not been deleted at that moment.
func confirmsAtOnce(t *testing.T, why string, o consumer.Options, apart time.Duration, then func(*kit)) {
	t.Helper()
	bubble(t, o, func(k *kit) {
		k.load(far)
		k.add(3, false)
		k.run()
		first, second := k.consume(), k.consume()
		third := k.consume() // as none is left, no claim leaves any behind
		first.ConfirmAsync()
		<-time.After(apart)
		began := time.Now()
		second.ConfirmAsync()
		third.ConfirmAsync()
		then(k)
		synctest.Wait()
		if left := k.store.len(); left > 0 || time.Since(began) > 0 {
			k.Errorf("%s: %d rows are left after %s, want none at once", why, left, time.Since(began))
		}
		k.stop()
	})
}

// A confirm lingers only where that saves a statement, and holds up nothing.
func TestAConfirmDoesNotLingerForNothing(t *testing.T) {
	nothing := func(*kit) {}
	confirmsAtOnce(t, "MaxInFlight", consumer.Options{MaxInFlight: func(int) int { return 10 }}, time.Millisecond, nothing)
	confirmsAtOnce(t, "the drain begins", consumer.Options{}, time.Millisecond, func(k *kit) { k.stop() })
	bubble(t, consumer.Options{}, func(k *kit) { // the one before is long ago
		k.load(far)
		k.add(2, false)
		k.run()
		first, second := k.consume(), k.consume()
		first.ConfirmAsync()
		<-time.After(lingerFew)
		second.ConfirmAsync()
		synctest.Wait()
		if left := k.store.len(); left > 0 {
			k.Errorf("a confirm that comes alone lingers: %d rows are left", left)
		}
		k.stop()
	})
}

// A caller that waits for its confirm does not wait for those that linger.
func TestAConfirmThatIsWaitedForDoesNotLinger(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.load(far)
		k.add(20, false)
		k.run()
		began := time.Now()
		for i := range 20 {
			d := k.consume()
			if i%2 == 0 {
				d.ConfirmAsync()
			} else if err := d.Confirm(k.Context()); err != nil {
				k.Errorf("Confirm: %v", err)
			}
		}
		if took := time.Since(began); took > 0 {
			k.Errorf("10 confirms that are waited for took %s beside 10 that linger, want no time", took)
		}
		k.stop()
	})
}

// In a full hot set only confirms make room for what is due.
func TestConfirmsThatMakeRoomDoNotLinger(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held = make(chan struct{})
		k.load(1)
		k.add(3, false)
		k.run()
		first, second, third := k.consume(), k.consume(), k.consume()
		first.ConfirmAsync()
		go func() { _, _ = k.c.Consume(k.Context()) }() // and claims get nothing
		<-time.After(200 * time.Millisecond)
		second.ConfirmAsync()
		<-time.After(time.Millisecond)
		third.ConfirmAsync()
		synctest.Wait()
		if now, _ := k.store.deletions(); now != 3 {
			k.Errorf("%d deletions are under way, want one for each of 3 confirms", now)
		}
		close(k.store.held)
		k.stop()
	})
}

func (f *faulty) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, f.Remove, p, held)
}

// removeEach is RemoveHeld for a set that Remove is broken for.
func removeEach(ctx context.Context, remove func(context.Context, int, string, []task.Ref) (task.RemoveResult, error), p int, held []task.Held) error {
	var errs []error
	for _, h := range held {
		_, err := remove(ctx, p, h.Token, h.Refs)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
