package consumer_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

const ahead = 25 * time.Millisecond

// takers consume until their context ends, and note when each task came.
func (k *kit) takers(n int) (came *sync.Map, stop func()) {
	ctx, cancel := context.WithCancel(k.Context())
	var wg sync.WaitGroup
	came = &sync.Map{}
	for range n {
		wg.Go(func() {
			for d, err := k.c.Consume(ctx); err == nil; d, err = k.c.Consume(ctx) {
				came.Store(d.ID, time.Now())
				d.ConfirmAsync()
			}
		})
	}
	synctest.Wait()
	return came, func() { cancel(); wg.Wait() }
}

// claimedAhead adds n tasks that are claimed before they are due, in 3 ms.
func (k *kit) claimedAhead(n int) {
	k.Helper()
	k.in = 20 * time.Millisecond
	k.add(n, false)
	<-time.After(17 * time.Millisecond)
	if st := k.state(); st.Claimed != int64(n) {
		k.Fatalf("3 ms before they are due the tasks are not claimed: %+v", st)
	}
}

// rolledBack adds a task that is handed out and rolled back, and returns when its delay of 20 ms is over.
func (k *kit) rolledBack() (over int64) {
	k.Helper()
	k.add(1, false)
	d := k.consume()
	over = time.Now().Add(20 * time.Millisecond).UnixMilli()
	if err := d.Rollback(k.Context(), 20*time.Millisecond); err != nil {
		k.Fatal(err)
	}
	return over
}

// One claim takes what is due soon, and each task is handed out when it is due, never before: also if the answer to the claim
// took most of the time, or all of it. What the time between the clock's last reading and the answer makes late is not more than that.
func TestWhatIsClaimedAheadIsHandedOutWhenItIsDue(t *testing.T) {
	for i, slow := range []time.Duration{0, 3 * time.Millisecond, 12 * time.Millisecond, 3 * time.Millisecond, 4 * time.Millisecond} {
		bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
			k.set.slowClaim = slow
			atMost := slow + time.Millisecond
			switch i {
			case 3: // the claim takes its time, and not the answer
				k.set.slowClaim, k.set.lateClaim = 0, slow
			case 4: // the clock is read when the claim is done
				k.set.readsLate, atMost = true, time.Millisecond
			}
			k.load(far)
			k.run()
			came, stop := k.takers(8)
			due := map[string]time.Time{}
			for i := range 6 {
				k.in = 100*time.Millisecond + time.Duration(4*i)*time.Millisecond
				k.addFrom(i, 1)
				due[taskID(i)] = time.Now().Add(k.in).Truncate(time.Millisecond)
			}
			before := k.set.tried()
			<-time.After(time.Second)
			if n := k.set.tried() - before; n > 4 {
				t.Errorf("six tasks that are due within 20 ms took %d claims", n)
			}
			for id, at := range due {
				got, ok := came.Load(id)
				if !ok {
					t.Fatalf("%s did not come", id)
				}
				if late := got.(time.Time).Sub(at); late < 0 || late > atMost {
					t.Errorf("with answers that take %s %s came %s after it was due", slow, id, late)
				}
			}
			stop()
			k.stop()
		})
	}
}

// Where a task is due in each millisecond, one caller gets them in as few claims as there can be: one looks lead before the next task is due, and
// takes all that is due within ahead.
func TestAClaimTakesAllThatIsSoonDue(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		const n, lead = 1000, 5 * time.Millisecond
		k.load(far)
		k.run()
		came, stop := k.takers(1)
		for i := range n {
			k.in = 100*time.Millisecond + time.Duration(i)*time.Millisecond
			k.addFrom(i, 1)
		}
		<-time.After(600 * time.Millisecond) // half of them have come, and it is known how many one caller takes
		before := k.set.tried()
		<-time.After(400 * time.Millisecond)
		if got, most := k.set.tried()-before, int(400*time.Millisecond/(ahead-lead))+2; got > most {
			t.Errorf("a task each millisecond took %d claims in 400 ms, want %d at most", got, most)
		}
		<-time.After(time.Second)
		for i := range n {
			if _, ok := came.Load(taskID(i)); !ok {
				t.Fatalf("%s did not come", taskID(i))
			}
		}
		stop()
		k.stop()
	})
}

// What was rolled back with a delay is offered when that is over, and not when it was due at first.
func TestARetryThatIsClaimedAheadIsNotEarly(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		k.add(1, false)
		d := k.consume()
		over := time.Now().Add(100 * time.Millisecond)
		if err := d.Rollback(k.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		k.comes(map[int]time.Time{0: over}, 0)
	})
}

// A claim whose answer was lost, and which is repeated, hands out nothing early: the answer does not tell when its tasks are offered.
func TestARepeatedClaimHandsOutNothingEarly(t *testing.T) {
	bubble(t, consumer.Options{Ahead: task.MaxAhead}, func(k *kit) {
		k.load(far)
		k.run()
		due := map[int]time.Time{}
		for i, in := range []time.Duration{200 * time.Millisecond, 290 * time.Millisecond} {
			k.in = in
			k.addFrom(i, 1)
			due[i] = time.Now().Add(in).Truncate(time.Millisecond)
		}
		k.comes(due, 1)
	})
}

// comes checks that tasks come, and not before their times, if the answers to so many of the next claims are lost.
func (k *kit) comes(due map[int]time.Time, lost int) {
	k.Helper()
	came, stop := k.takers(8)
	k.set.mu.Lock()
	k.set.lostClaim = lost
	k.set.mu.Unlock()
	<-time.After(2 * time.Second)
	for i, at := range due {
		if got, ok := came.Load(taskID(i)); !ok || got.(time.Time).Before(at) {
			k.Errorf("%s is offered at %s, and came at %v", taskID(i), at, got)
		}
	}
	stop()
	k.stop()
}

// Nothing is claimed ahead that no caller waits for, and nothing for a process with a limit.
func TestWhatIsNotClaimedAhead(t *testing.T) {
	for name, o := range map[string]consumer.Options{"not asked for": {}, "MaxRate": {Ahead: ahead, MaxRate: 1000}, "Interval": {Ahead: ahead, Interval: time.Microsecond},
		"MaxInFlight": {Ahead: ahead, MaxInFlight: func(int) int { return 100 }}, "no caller": {Ahead: ahead}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, o, func(k *kit) {
				k.load(far)
				k.run()
				stop := func() {}
				if name != "no caller" {
					_, stop = k.takers(4)
				}
				k.in = 10 * time.Millisecond
				k.add(1, false)
				<-time.After(9 * time.Millisecond)
				if st := k.state(); st.Claimed != 0 || st.Waiting != 1 {
					t.Errorf("before it is due the task is claimed: %+v", st)
				}
				stop()
				k.stop()
			})
		})
	}
}

// A task whose caller took another one meanwhile goes back when it is due, so that other processes need not wait for this one.
func TestWhatWasClaimedAheadGoesBackIfNoCallerIsLeft(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		got := make(chan *consumer.Delivery, 1)
		go func() { d, _ := k.c.Consume(k.Context()); got <- d }()
		synctest.Wait()
		k.in = 20 * time.Millisecond
		k.addFrom(0, 1)
		<-time.After(17 * time.Millisecond) // the claimer has looked 5 ms before the task is due
		if st := k.state(); st.Claimed != 1 {
			t.Fatalf("3 ms before it is due the task is not claimed: %+v", st)
		}
		k.in = 0
		k.addFrom(1, 1)
		if d := <-got; d.ID != taskID(1) {
			t.Fatalf("%s came, want the task that was due at once", d.ID)
		}
		<-time.After(4 * time.Millisecond)
		if st := k.state(); st.Claimed != 1 || st.Waiting != 1 || st.Due != 1 {
			t.Errorf("the task that was claimed ahead is not given back: %+v", st)
		}
		k.stop()
	})
}

// What was claimed ahead goes back when the process ends.
func TestWhatWasClaimedAheadGoesBackAtTheEnd(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		came, stop := k.takers(4)
		k.claimedAhead(2)
		k.stop()
		if st := k.state(); st.Claimed != 0 || st.Waiting != 2 {
			t.Errorf("what was claimed ahead is not given back: %+v", st)
		}
		came.Range(func(id, _ any) bool { t.Errorf("%s came", id); return true })
		stop()
	})
}

// What goes back before a Rollback's delay is over is offered when that is over, and no earlier.
func TestWhatGoesBackKeepsItsDelay(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		over := k.rolledBack()
		_, stop := k.takers(4)
		<-time.After(18 * time.Millisecond)
		if st := k.state(); st.Claimed != 1 {
			t.Fatalf("2 ms before its delay is over the task is not claimed: %+v", st)
		}
		k.stop()
		if st := k.state(); st.Waiting != 1 || st.OldestMS < over {
			t.Errorf("what was claimed ahead is offered at %d, want %d or later: %+v", st.OldestMS, over, st)
		}
		stop()
	})
}

// So does what cannot be read, and would be given back for a time that ends beyond the horizon.
func TestWhatGoesBackBeyondTheHorizonKeepsItsDelay(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		over := k.rolledBack()
		k.store.set(true)
		k.set.beyond = true
		_, stop := k.takers(4)
		<-time.After(18 * time.Millisecond)
		if n := k.store.read(); n == 0 {
			t.Fatal("2 ms before its delay is over the task's row was not read")
		}
		k.stop()
		if st := k.state(); st.Waiting != 1 || st.OldestMS < over {
			t.Errorf("what was claimed ahead is offered at %d, want %d or later: %+v", st.OldestMS, over, st)
		}
		stop()
	})
}

// While claims fail they are tried again after longer and longer pauses, also if what waits might be claimed ahead.
func TestClaimsThatFailRestAlsoIfTasksAreSoonDue(t *testing.T) {
	bubble(t, consumer.Options{Ahead: ahead}, func(k *kit) {
		k.load(far)
		k.run()
		_, stop := k.takers(4)
		k.in = 100 * time.Millisecond
		k.add(1, false)
		<-time.After(50 * time.Millisecond)
		k.set.mu.Lock()
		k.set.deaf = true
		k.set.mu.Unlock()
		before := k.set.tried()
		<-time.After(time.Second)
		if n := k.set.tried() - before; n == 0 || n > 6 {
			t.Errorf("claims that fail were tried %d times in a second, want 5 or so", n)
		}
		stop()
		k.stop()
	})
}
