package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestItClaimsNoMoreThanItsCallersTake(t *testing.T) {
	bubble(t, consumer.Options{Queue: 20}, func(k *kit) {
		k.add(1000, false)
		k.run()
		if st := k.state(); st.Claimed != 0 {
			k.Errorf("%d tasks are claimed, and no caller consumes", st.Claimed)
		}
		first := k.consume()
		synctest.Wait()
		if st := k.state(); st.Claimed != 1 {
			k.Errorf("%d tasks are claimed for one caller", st.Claimed)
		}
		first.ConfirmAsync()
		for range 300 {
			k.consume().ConfirmAsync()
			synctest.Wait()
			if f := k.c.Figures(); f.Queued > 20 {
				k.Fatalf("%d tasks are queued, Queue is 20", f.Queued)
			}
		}
		if f := k.c.Figures(); f.Queued == 0 || f.Delivered != 301 {
			k.Errorf("figures are %+v, want 301 delivered, and a queue for a quick caller", f)
		}
		<-time.After(300 * time.Millisecond) // confirms yield while tasks are due
		if f := k.c.Figures(); f.Confirmed != 301 {
			k.Errorf("figures are %+v, want 301 confirmed", f)
		}
		k.stop()
	})
}

func TestAnAnswerThatWasLostIsClaimedOnce(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.set.lostClaim = 3
		k.add(1, false)
		k.run()
		start := time.Now()
		d := k.consume()
		if took := time.Since(start); took > time.Second || d.Attempt != 1 {
			k.Errorf("delivered after %s as attempt %d, want within a second as the first", took, d.Attempt)
		}
		if err := d.Confirm(k.Context()); err != nil {
			k.Error(err)
		}
		k.stop()
	})
}

// Promise 2: what this process cannot extend it neither hands out nor keeps.
func TestALeaseThatIsNotExtendedEndsItsDeliveries(t *testing.T) {
	var lost losses
	bubble(t, consumer.Options{Lease: 6 * time.Second, Hooks: hook.Hooks{LeaseLost: lost.add}}, func(k *kit) {
		k.add(30, false)
		k.run()
		for range 20 { // a quick caller: some are queued after it
			k.consume().ConfirmAsync()
			synctest.Wait()
		}
		d := k.consume()
		<-time.After(20 * time.Second)
		if d.Context().Err() != nil {
			k.Fatal("the context ended while the lease was extended")
		}
		k.set.set(true)
		began := time.Now()
		<-d.Context().Done()
		if took := time.Since(began); took > 6*time.Second || !errors.Is(context.Cause(d.Context()), task.ErrLeaseLost) {
			k.Errorf("it ended after %s because of %v, want within the lease and ErrLeaseLost", took, context.Cause(d.Context()))
		}
		k.set.set(false)
		if err := d.Confirm(k.Context()); err != nil {
			k.Errorf("Confirm without a lease, while the row stands: %v", err)
		}
		if f := k.c.Figures(); f.LeasesLost == 0 {
			k.Error("no lost lease was counted")
		}
		k.wantLost(&lost, d.ID)
		k.stop()
	})
}

// Leases are extended after the last member of a batch was removed, and before the answer
// to that has come: nothing was lost. What another process has taken was.
func TestABatchThatItsConfirmsEndWasNotLost(t *testing.T) {
	bubble(t, consumer.Options{Lease: 6 * time.Second, Queue: 1}, func(k *kit) {
		k.add(2, false)
		k.run()
		first, second := k.consume(), k.consume() // each in a batch of its own
		k.set.mu.Lock()
		token := k.set.token
		k.set.slowRemove = 1900 * time.Millisecond // a beat is 1 s
		k.set.mu.Unlock()
		if err := first.Confirm(k.Context()); err != nil {
			k.Errorf("Confirm: %v", err)
		}
		if n := k.c.Figures().LeasesLost; n != 0 || second.Context().Err() != nil {
			k.Errorf("%d leases were lost by a confirm that took long, want none; the other delivery: %v", n, context.Cause(second.Context()))
		}
		start := time.Now()
		back := task.ReleaseRequest{Token: token, Refs: []task.Ref{{ID: second.ID, Ver: 2}}, AtNext: true}
		if a, err := k.set.Set.Release(k.Context(), 0, back); err != nil || a[0] != task.ReleaseWaiting {
			k.Fatalf("Release by another process: %v, %v", a, err)
		}
		<-second.Context().Done()
		if took, n := time.Since(start), k.c.Figures().LeasesLost; took > 2*time.Second || n != 1 {
			k.Errorf("after %s %d leases were lost, want 1 within a beat or two", took, n)
		}
	})
}

func TestConfirmGoesOnWhileTheStoreIsAway(t *testing.T) {
	bubble(t, consumer.Options{Lease: 2 * time.Second}, func(k *kit) {
		k.add(3, false)
		k.run()
		var ds []*consumer.Delivery
		for range 3 {
			ds = append(ds, k.consume())
		}
		k.store.set(true)
		ds[0].ConfirmAsync()
		short, cancel := context.WithTimeout(k.Context(), time.Second)
		defer cancel()
		if err := ds[1].Confirm(short); !errors.Is(err, context.DeadlineExceeded) {
			k.Errorf("Confirm with a store that is away: %v, want the end of its context", err)
		}
		result := make(chan error, 1)
		go func() { result <- ds[2].Confirm(context.Background()) }()
		<-time.After(time.Minute)
		if expired, err := k.set.Expired(k.Context(), 0, 10, 0); len(expired) > 0 || err != nil {
			k.Errorf("leases of what is being confirmed ended: %v, %v", expired, err)
		}
		k.store.set(false)
		if err := <-result; err != nil {
			k.Errorf("Confirm: %v", err)
		}
		<-time.After(time.Second)
		if n, f := k.store.len(), k.c.Figures(); n != 0 || f.Confirmed != 3 || f.InHand+f.Confirming != 0 {
			k.Errorf("%d rows are left, figures %+v", n, f)
		}
		k.stop()
	})
}

func TestASecondAnswerIsErrSettled(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		answers := map[string]func(*consumer.Delivery) error{
			"Confirm":      func(d *consumer.Delivery) error { return d.Confirm(k.Context()) },
			"ConfirmAsync": func(d *consumer.Delivery) error { d.ConfirmAsync(); return nil },
			"Rollback":     func(d *consumer.Delivery) error { return d.Rollback(k.Context(), time.Hour) },
		}
		k.run()
		for first, f := range answers {
			k.add(1, false)
			d := k.consume()
			if err := f(d); err != nil {
				k.Errorf("%s: %v", first, err)
			}
			if !errors.Is(context.Cause(d.Context()), task.ErrSettled) {
				k.Errorf("after %s the context's cause is %v", first, context.Cause(d.Context()))
			}
			for second, g := range answers {
				if err := g(d); second != "ConfirmAsync" && !errors.Is(err, task.ErrSettled) {
					k.Errorf("%s after %s: %v, want ErrSettled", second, first, err)
				}
			}
			synctest.Wait()
			if _, err := k.store.Delete(k.Context(), []task.Ref{{ID: "t000000", Ver: 1}}); err != nil {
				k.Fatal(err)
			}
			if _, err := k.set.Set.Remove(k.Context(), 0, "", []task.Ref{{ID: "t000000", Ver: 1}}); err != nil {
				k.Fatal(err)
			}
			<-time.After(time.Minute) // until its tombstone is gone
		}
		k.stop()
	})
}

// What a caller does to the fields of its delivery is its own affair.
func TestACallerMayChangeItsDelivery(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(2, false)
		k.run()
		for _, settle := range []func(*consumer.Delivery) error{
			func(d *consumer.Delivery) error { return d.Rollback(k.Context(), 0) },
			func(d *consumer.Delivery) error { return d.Confirm(k.Context()) },
		} {
			for range 2 {
				d := k.consume()
				d.ID, d.Due, d.Attempt = "another", time.Time{}, -3
				clear(d.Payload)
				if err := settle(d); err != nil {
					k.Errorf("settle: %v", err)
				}
			}
		}
		if n := k.store.len(); n != 0 {
			k.Errorf("%d rows are left", n)
		}
		k.stop()
	})
}

// A member whose payload stays in its row is read with it, and is dropped if the
// row is gone.
func TestMembersWithoutARowAreDropped(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(40, true)
		k.store.mu.Lock()
		for i := range 20 {
			delete(k.store.byID, fmt.Sprintf("t%06d", 2*i))
		}
		k.store.mu.Unlock()
		k.run()
		for range 20 {
			d := k.consume()
			if string(d.Payload) != d.ID {
				k.Errorf("%s came with payload %q", d.ID, d.Payload)
			}
			if err := d.Confirm(k.Context()); err != nil {
				k.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(k.Context(), time.Minute)
		defer cancel()
		if d, err := k.c.Consume(ctx); err == nil {
			k.Errorf("%s was delivered and has no row", d.ID)
		}
		if st := k.state(); st.Claimed+st.Waiting != 0 {
			k.Errorf("the set holds %+v", st)
		}
		k.stop()
	})
}

func TestPayloadsWaitForAStoreThatIsAway(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.set(true)
		k.add(5, true)
		k.run()
		time.AfterFunc(20*time.Second, func() { k.store.set(false) })
		start := time.Now()
		for range 5 {
			d := k.consume()
			if took := time.Since(start); took < 20*time.Second || took > 22*time.Second || d.Attempt != 1 {
				k.Errorf("%s came after %s as attempt %d, want soon after 20 s as the first", d.ID, took, d.Attempt)
			}
			d.ConfirmAsync()
		}
		k.stop()
	})
}

// In a backlog the horizon may lie in the past, and then no delay is taken: what has no
// payload yet must not stay in a batch for as long as another of its tasks is in hand.
func TestPayloadsWaitForAStoreThatIsAwayBeyondTheHorizon(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.addAll(3, func(i int) bool { return i > 0 })
		f, err := k.set.Horizon(k.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 2})
		if err != nil || !f.Retreated {
			k.Fatalf("the horizon did not retreat: %+v, %v", f, err)
		}
		k.store.set(true)
		k.run()
		first := k.consume()
		time.AfterFunc(5*time.Second, func() { k.store.set(false) })
		start := time.Now()
		d := k.consume()
		if took := time.Since(start); d.ID != "t000001" || took > 7*time.Second || d.Attempt != 1 {
			k.Errorf("%s came after %s as attempt %d, want t000001 soon after 5 s as the first", d.ID, took, d.Attempt)
		}
		first.ConfirmAsync()
		d.ConfirmAsync()
		k.stop()
	})
}

// A new generation waits 2 s for what workers hold, also where that is in many batches and
// the hot set is far.
func TestManyBatchesAreRegisteredInTime(t *testing.T) {
	bubble(t, consumer.Options{Queue: 1}, func(k *kit) {
		const n = 1000
		k.add(n, false)
		k.run()
		var ds []*consumer.Delivery
		for range n {
			ds = append(ds, k.consume())
			synctest.Wait()
		}
		k.set.mu.Lock()
		k.set.aborted, k.set.trip, k.set.added = 1, 10*time.Millisecond, nil
		k.set.mu.Unlock()
		start := time.Now()
		<-time.After(30 * time.Second)
		k.set.mu.Lock()
		added := k.set.added
		k.set.mu.Unlock()
		if len(added) < n/2 {
			k.Fatalf("%d tasks were registered by %d calls, want many", n, len(added))
		}
		if last := added[len(added)-1].Sub(start); last > 3*time.Second {
			k.Errorf("the last of %d batches was registered after %s, want within a beat of 1 s and 2 s more", len(added), last)
		}
		for _, d := range ds {
			if d.Context().Err() != nil {
				k.Fatalf("%s was lost: %v", d.ID, context.Cause(d.Context()))
			}
		}
	})
}

func TestConfirmAsyncBlocksWhileTooManyWait(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		const limit = 200_000
		k.store.held = make(chan struct{})
		k.add(limit+1, false)
		k.run()
		for range limit {
			k.consume().ConfirmAsync()
		}
		last := k.consume()
		returned := make(chan struct{})
		go func() { last.ConfirmAsync(); close(returned) }()
		synctest.Wait()
		select {
		case <-returned:
			k.Error("it took one more than 200,000")
		default:
		}
		close(k.store.held)
		<-returned
		k.stop()
		if n := k.store.len(); n != 0 {
			k.Errorf("%d rows are left", n)
		}
	})
}

func TestRunRunsOnce(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.run()
		if err := k.c.Run(k.Context()); !errors.Is(err, task.ErrRunning) {
			k.Errorf("Run beside Run: %v, want ErrRunning", err)
		}
		k.stop()
		if err := k.c.Run(k.Context()); !errors.Is(err, task.ErrClosed) {
			k.Errorf("Run after Run: %v, want ErrClosed", err)
		}
		ended, cancel := context.WithCancel(k.Context())
		cancel()
		if _, err := k.c.Consume(ended); !errors.Is(err, context.Canceled) {
			k.Errorf("Consume with an ended context: %v", err)
		}
	})
}

func TestARollbackOfAnyDelay(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(3, false)
		k.run()
		ds := []*consumer.Delivery{k.consume(), k.consume(), k.consume()}
		for i, delay := range []time.Duration{-1 << 63, 0, time.Hour} {
			if err := ds[i].Rollback(k.Context(), delay); err != nil {
				k.Errorf("Rollback by %s: %v", delay, err)
			}
		}
		start := time.Now()
		got := map[int]int{}
		for range 3 {
			d := k.consume()
			got[d.Attempt]++
			d.ConfirmAsync()
		}
		if took := time.Since(start); got[2] != 3 || took < time.Hour || took > time.Hour+time.Second {
			k.Errorf("attempts %v after %s, want each for the second time, the last after an hour", got, took)
		}
		k.stop()
	})
}

// One goroutine consumes and confirms without waiting, while no deletion comes back.
func TestClaimsGrowWithAnswersNotWithTheirDeletions(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.held = make(chan struct{})
		k.add(500, false)
		k.run()
		for range 500 {
			k.consume().ConfirmAsync()
		}
		k.set.mu.Lock()
		claims := k.set.claims
		k.set.mu.Unlock()
		if claims > 50 {
			k.Errorf("500 tasks took %d claims, want a few that double", claims)
		}
		close(k.store.held)
		k.stop()
		if n := k.store.len(); n > 0 {
			k.Errorf("%d rows are left", n)
		}
	})
}

func BenchmarkConsumeAndConfirm(b *testing.B) {
	set, err := local.New(local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := set.Horizon(b.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 1 << 30}); err != nil {
		b.Fatal(err)
	}
	c := consumer.New(set, yes{}, consumer.Options{Partitions: 1, Queue: 1000, Lease: time.Minute, Drain: time.Minute,
		DeliveryTimeout: time.Hour, Report: &report.Reporter{}})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	payload := make([]byte, 100)
	var ver int64
	fill := func(n int) {
		asOf, _ := set.Clock(ctx, 0)
		entries := make([]task.Entry, 0, 1000)
		for range n {
			ver++
			entries = append(entries, task.Entry{Ref: task.Ref{ID: "0123456789abcdef0123456789abcdef0123", Ver: ver}, NextMS: 1, DueMS: 1, Payload: payload})
			if len(entries) == 1000 {
				if _, err := set.Add(ctx, 0, task.AddRequest{AsOf: asOf, Entries: entries}); err != nil {
					b.Fatal(err)
				}
				entries = entries[:0]
			}
		}
	}
	b.ReportAllocs()
	const lot = 100_000
	for i := 0; b.Loop(); i++ {
		if i%lot == 0 {
			b.StopTimer()
			fill(lot)
			b.StartTimer()
		}
		d, err := c.Consume(ctx)
		if err != nil {
			b.Fatal(err)
		}
		d.ConfirmAsync()
	}
	b.StopTimer()
	cancel()
	<-done
}

// yes is a Store that has each row.
type yes struct{ *rows }

func (yes) Bury(_ context.Context, burials []task.Burial) ([]bool, error) {
	return make([]bool, len(burials)), nil
}
func (yes) Delete(_ context.Context, refs []task.Ref) ([]bool, error) {
	all := make([]bool, len(refs))
	for i := range all {
		all[i] = true
	}
	return all, nil
}
