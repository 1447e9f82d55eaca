package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// A row knows of the attempts that have failed before the next one begins, so that a hot set that loses its data forgets
// one at most: rollbacks, and leases that ran out. A task that did not fail is written by nothing.
func TestARowKnowsOfTheAttemptsBefore(t *testing.T) {
	knowsOfTheAttemptsBefore(t, false)
	knowsOfTheAttemptsBefore(t, true)
}

func knowsOfTheAttemptsBefore(t *testing.T, external bool) {
	t.Helper()
	o, _ := logged(consumer.Options{Retry: retrypolicy.Constant(time.Second)})
	bubble(t, o, func(k *kit) {
		k.add(2, external)
		expire(k, "t000001", 2)
		hs := k.c.Handle(2, func(_ context.Context, d *consumer.Delivery) error {
			k.store.mu.Lock()
			known := k.store.byID[d.ID].Attempt
			k.store.mu.Unlock()
			if known != d.Attempt-1 {
				k.Errorf("%s: the row knows of %d attempts when attempt %d begins", d.ID, known, d.Attempt)
			}
			if d.Attempt < 4 {
				return errors.New("boom")
			}
			return nil
		})
		k.run()
		<-time.After(time.Minute)
		if k.store.len() != 0 || k.store.raised != 5 { // to 1, 2 and 3, and to 2, which a dead worker left, and 3
			k.Errorf("payloads in rows alone: %t: %d rows are left, and rows were raised %d times, want 0 and 5", external, k.store.len(), k.store.raised)
		}
		if reads := k.store.read(); !external && reads > 0 {
			k.Errorf("rows of tasks that the hot set has whole were read %d times", reads)
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}

// What has failed before, and has no row, was deleted: it is not delivered again, and its member is dropped. The others of its
// claim come all the same, also those whose rows know of all attempts.
func TestWhatFailedBeforeIsNotDeliveredWithoutARow(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(4, false)
		for i := range 3 {
			expire(k, taskID(i), 1)
		}
		k.store.mu.Lock()
		known := k.store.byID[taskID(1)]
		known.Attempt = 1
		k.store.byID[taskID(1)] = known
		delete(k.store.byID, taskID(0))
		k.store.mu.Unlock()
		k.run()
		var came []string
		for range 3 {
			d := k.consume()
			came = append(came, fmt.Sprintf("%s attempt %d", d.ID, d.Attempt))
			if err := d.Confirm(k.Context()); err != nil {
				k.Error(err)
			}
		}
		slices.Sort(came)
		if want := []string{"t000001 attempt 2", "t000002 attempt 2", "t000003 attempt 1"}; !slices.Equal(came, want) {
			k.Errorf("delivered %q, want %q", came, want)
		}
		if st := k.state(); st.Claimed+st.Waiting != 0 {
			k.Errorf("the set holds %+v", st)
		}
		k.stop()
	})
}

// While it is not known whether what failed before has a row, it is not delivered; once the store answers it is.
func TestWhatFailedBeforeWaitsForAStoreThatIsAway(t *testing.T) {
	const away = 20 * time.Second
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(2, false)
		expire(k, taskID(0), 1)
		k.store.set(true)
		began := time.Now()
		time.AfterFunc(away, func() { k.store.set(false) })
		k.run()
		first := k.consume()
		if took := time.Since(began); first.ID != taskID(1) || took > 0 {
			k.Errorf("%s came first, after %s; want the task that needs no row, at once", first.ID, took)
		}
		if d, took := k.consume(), time.Since(began); d.ID != taskID(0) || d.Attempt != 2 || took < away || took > away+2*time.Second {
			k.Errorf("%s came for attempt %d after %s, want %s for attempt 2 within 2 s after %s, when the store answers", d.ID, d.Attempt, took, taskID(0), away)
		}
		k.stop()
	})
}

// Attempts that cannot be written hold up neither their own tasks for long, nor other tasks at all.
func TestAttemptsThatCannotBeWrittenHoldUpNothing(t *testing.T) {
	o, log := logged(consumer.Options{Retry: retrypolicy.Constant(time.Second)})
	bubble(t, o, func(k *kit) {
		k.store.raiseHangs = true
		k.add(3, false)
		expire(k, "t000000", 1)
		began := time.Now()
		at := make(chan string, 4)
		hs := k.c.Handle(4, func(_ context.Context, d *consumer.Delivery) error {
			at <- fmt.Sprintf("%s attempt %d after %s", d.ID, d.Attempt, time.Since(began).Round(time.Second))
			return nil
		})
		k.run()
		got := []string{<-at, <-at}
		<-time.After(time.Second)
		k.addFrom(3, 1) // due now: the claim loop does not wait for the write
		got = append(got, <-at, <-at)
		if slices.Sort(got[:2]); !slices.Equal(got, []string{"t000001 attempt 1 after 0s", "t000002 attempt 1 after 0s", "t000003 attempt 1 after 1s", "t000000 attempt 2 after 2s"}) {
			k.Errorf("delivered %q, want the others at once, and then the one that failed", got)
		}
		if len(log.with("write attempts")) != 1 {
			k.Errorf("the log tells nothing of the write: %s", log.b.String())
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}
