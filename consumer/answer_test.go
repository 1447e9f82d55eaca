package consumer_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

type traceKey struct{}

// derived are contexts that a handler may wait with: its own, and what middleware makes of it.
var derived = map[string]func(context.Context) (context.Context, context.CancelFunc){
	"own": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
	"timeout": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Hour)
	},
	"cancel": context.WithCancel,
	"value": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithValue(ctx, traceKey{}, 1), func() {}
	},
	"merged": func(ctx context.Context) (context.Context, context.CancelFunc) { // its cause tells nothing
		merged, cancel := context.WithCancel(context.Background())
		context.AfterFunc(ctx, cancel)
		return merged, cancel
	},
}

// isMerged reports whether the test of that name waits with a merged context: its end does not tell why.
func isMerged(name string) bool { return strings.HasSuffix(name, " with merged") }

// answers are what a caller may say, with a context to wait with.
var answers = map[string]func(*consumer.Delivery, context.Context) error{
	"Confirm":  (*consumer.Delivery).Confirm,
	"Rollback": func(d *consumer.Delivery, ctx context.Context) error { return d.Rollback(ctx, time.Second) },
}

func (k *kit) deleteRow(d *consumer.Delivery) {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	delete(k.store.byID, d.ID)
}

// eachWait runs test with each answer and each derived context, in a bubble of its own.
func eachWait(t *testing.T, o consumer.Options, test func(k *kit, name string, answer func(*consumer.Delivery) error)) {
	for verb, answer := range answers {
		for kind, derive := range derived {
			name := verb + " with " + kind
			bubble(t, o, func(k *kit) {
				k.add(1, false)
				k.run()
				test(k, name, func(d *consumer.Delivery) error {
					ctx, cancel := derive(d.Context())
					defer cancel()
					return answer(d, ctx)
				})
				k.stop()
			})
		}
	}
}

func TestWhoWaitsWithTheDeliverysContextLearnsTheOutcome(t *testing.T) {
	eachWait(t, consumer.Options{}, func(k *kit, name string, answer func(*consumer.Delivery) error) {
		d := k.consume()
		if err := answer(d); err != nil {
			k.Errorf("%s: %v, want nil", name, err)
		}
		if cause := context.Cause(d.Context()); !errors.Is(cause, task.ErrSettled) {
			k.Errorf("%s: the context ended because of %v, want ErrSettled", name, cause)
		}
	})
}

func TestWhoWaitsWithTheDeliverysContextLearnsThatItIsGone(t *testing.T) {
	eachWait(t, consumer.Options{}, func(k *kit, name string, answer func(*consumer.Delivery) error) {
		d := k.consume()
		k.deleteRow(d)
		if _, err := k.set.Remove(k.Context(), 0, "", []task.Ref{{ID: d.ID, Ver: 1}}); err != nil {
			k.Fatal(err)
		}
		err := answer(d)
		if isMerged(name) && errors.Is(err, context.Canceled) { // the removal was heard of before the answer, and ended the wait
			return
		}
		if !errors.Is(err, task.ErrGone) {
			k.Errorf("%s of what is gone: %v, want ErrGone", name, err)
		}
	})
}

// The context that a handler has may have ended long before it answers. What became of the
// answer is told all the same, whatever ended the context. (A merged context cannot be known.)
func TestAnEndedContextHidesNoOutcome(t *testing.T) {
	ends := map[error]func(*kit, *consumer.Delivery){
		task.ErrLeaseLost: func(k *kit, d *consumer.Delivery) {
			k.set.set(true)
			<-d.Context().Done()
			k.set.set(false)
		},
		task.ErrTimeout: func(_ *kit, d *consumer.Delivery) { <-d.Context().Done() },
		task.ErrClosed:  func(k *kit, _ *consumer.Delivery) { k.stop() },
	}
	for cause, end := range ends {
		o := consumer.Options{Lease: 5 * time.Second, Drain: time.Second}
		if cause == task.ErrTimeout {
			o.DeliveryTimeout = time.Minute
		}
		eachWait(t, o, func(k *kit, name string, answer func(*consumer.Delivery) error) {
			d := k.consume()
			_ = d.Context()
			end(k, d)
			if got := context.Cause(d.Context()); !errors.Is(got, cause) {
				k.Fatalf("%s: the context ended because of %v, want %v", name, got, cause)
			}
			if isMerged(name) {
				_ = answer(d)
				return
			}
			if err := answer(d); err != nil {
				k.Errorf("%s after %v: %v, want nil", name, cause, err)
			}
		})
	}
}

// A deadline or an end of the caller's own does end the wait, also where d's context has ended.
func TestACallersOwnDeadlineEndsItsWait(t *testing.T) {
	for verb, answer := range answers {
		for _, lost := range []bool{false, true} {
			bubble(t, consumer.Options{Lease: 5 * time.Second}, func(k *kit) {
				k.add(3, false)
				k.run()
				ds := []*consumer.Delivery{k.consume(), k.consume(), k.consume()}
				soon, cancel := context.WithTimeout(ds[0].Context(), time.Minute)
				defer cancel()
				mine, end := context.WithCancel(ds[1].Context())
				over, stop := context.WithCancel(ds[2].Context())
				stop()
				k.store.held = make(chan struct{})
				k.set.mu.Lock()
				k.set.hung = true
				k.set.mu.Unlock()
				mend := sync.OnceFunc(func() {
					close(k.store.held)
					k.set.mu.Lock()
					defer k.set.mu.Unlock()
					k.set.hung = false
				})
				time.AfterFunc(10*time.Minute, mend) // otherwise a call that waits too long waits for ever
				if lost {
					<-ds[0].Context().Done()
				} else { // before the lease ends, and mine with it
					time.AfterFunc(time.Second, end)
					if err := answer(ds[1], mine); !errors.Is(err, context.Canceled) {
						k.Errorf("%s, cancelled: %v, want the end of its own context", verb, err)
					}
				}
				began := time.Now()
				if err := answer(ds[0], soon); !errors.Is(err, context.DeadlineExceeded) {
					k.Errorf("%s, lease lost: %t: %v, want the end of its own deadline", verb, lost, err)
				}
				if took := time.Since(began); took > time.Minute {
					k.Errorf("%s, lease lost: %t: it waited for %s beyond its deadline of a minute", verb, lost, took)
				}
				if err := answer(ds[2], over); !errors.Is(err, context.Canceled) {
					k.Errorf("%s, cancelled before: %v, want the end of its own context", verb, err)
				}
				end()
				mend()
				k.stop()
			})
		}
	}
}

// A call whose context has ended, without a deadline, waits no longer than Run.
func TestAWaitWithAnEndedContextEndsWithRun(t *testing.T) {
	bubble(t, consumer.Options{Drain: 5 * time.Second, DeliveryTimeout: time.Minute}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		<-d.Context().Done()
		k.store.set(true)
		result := make(chan error, 1)
		go func() { result <- d.Confirm(d.Context()) }()
		<-time.After(3 * time.Minute)
		select {
		case err := <-result:
			k.Fatalf("Confirm while the store is away: %v", err)
		default:
		}
		k.stop()
		if err := <-result; !errors.Is(err, task.ErrUnavailable) {
			k.Errorf("Confirm: %v, want ErrUnavailable", err)
		}
	})
}

// The first success ends the task, wherever it stands by then: it waits again, another
// caller has it, or it was not given back yet as the hot set is away.
func TestAConfirmAfterTheTimeoutEndsTheTask(t *testing.T) {
	for _, where := range []string{"waiting", "in hand", "not given back"} {
		bubble(t, consumer.Options{DeliveryTimeout: time.Minute, Lease: 5 * time.Minute}, func(k *kit) {
			k.add(1, false)
			k.run()
			first := k.consume()
			if where == "not given back" {
				k.set.mu.Lock()
				k.set.mute = true
				k.set.mu.Unlock()
			}
			<-first.Context().Done()
			synctest.Wait()
			var second *consumer.Delivery
			if where == "waiting" {
				for range 3 { // the keeper's next beat gives it back
					<-time.After(500 * time.Millisecond)
					if n := k.c.Figures().Queued; n != 0 {
						k.Errorf("this process has claimed the task that it gave back, though its caller hangs")
					}
				}
				if st := k.state(); st.Waiting != 1 {
					k.Errorf("after the timeout the set holds %+v, want the task waiting", st)
				}
			}
			if where == "in hand" {
				if second = k.consume(); second.Attempt != 2 {
					k.Errorf("the second delivery is attempt %d", second.Attempt)
				}
			}
			if err := first.Confirm(first.Context()); err != nil {
				k.Errorf("%s: Confirm after the timeout: %v, want nil", where, err)
			}
			if n := k.store.len(); n != 0 {
				k.Errorf("%s: %d rows are left", where, n)
			}
			k.set.mu.Lock()
			k.set.mute = false
			k.set.mu.Unlock()
			if second != nil {
				<-second.Context().Done()
				if err := second.Confirm(second.Context()); !errors.Is(err, task.ErrGone) {
					k.Errorf("%s: Confirm of the second: %v, want ErrGone", where, err)
				}
			}
			for verb, answer := range answers {
				if err := answer(first, k.Context()); !errors.Is(err, task.ErrSettled) {
					k.Errorf("%s: %s again: %v, want ErrSettled", where, verb, err)
				}
			}
			ctx, cancel := context.WithTimeout(k.Context(), time.Minute)
			defer cancel()
			if d, err := k.c.Consume(ctx); err == nil {
				k.Errorf("%s: %s was delivered again, as attempt %d", where, d.ID, d.Attempt)
			}
			if st := k.state(); st.Waiting+st.Claimed != 0 {
				k.Errorf("%s: the set holds %+v", where, st)
			}
			if f := k.c.Figures(); f.Confirmed != 1 || f.TimedOut != 1 || f.InHand+f.Confirming != 0 {
				k.Errorf("%s: figures are %+v, want one confirmed, one timed out, none in hand", where, f)
			}
			k.stop()
		})
	}
}

// Another worker that has the task by then learns of the Confirm by a mark: a Delete that has
// deleted the row before is told that a caller may have the task in hand.
func TestAConfirmAfterTheTimeoutLeavesAMark(t *testing.T) {
	bubble(t, consumer.Options{DeliveryTimeout: time.Minute}, func(k *kit) {
		k.add(1, false)
		k.run()
		first := k.consume()
		<-first.Context().Done()
		second := k.consume()
		k.deleteRow(first) // as a Delete does first
		if err := first.Confirm(k.Context()); !errors.Is(err, task.ErrGone) {
			k.Errorf("Confirm: %v, want ErrGone", err)
		}
		removed, err := k.set.Remove(k.Context(), 0, "", []task.Ref{{ID: first.ID, Ver: 1}}) // and then
		if err != nil || removed.Outcomes[0] != task.RemoveClaimed {
			k.Errorf("the Delete's removal answers %v, %v, want Claimed: the second caller has it", removed.Outcomes, err)
		}
		second.ConfirmAsync()
		k.stop()
	})
}

// The timeout has given the task back: a Rollback says so, and moves nothing.
func TestARollbackAfterTheTimeoutChangesNothing(t *testing.T) {
	bubble(t, consumer.Options{DeliveryTimeout: time.Minute}, func(k *kit) {
		k.add(2, false)
		k.run()
		first, gone := k.consume(), k.consume()
		<-first.Context().Done()
		synctest.Wait()
		if f := k.c.Figures(); f.InHand != 2 || f.RolledBack != 2 {
			k.Errorf("figures are %+v, want both in hand until they are answered, and given back", f)
		}
		k.deleteRow(gone)
		if _, err := k.set.Remove(k.Context(), 0, "", []task.Ref{{ID: gone.ID, Ver: 2}}); err != nil {
			k.Fatal(err)
		}
		if err := gone.Rollback(gone.Context(), time.Hour); !errors.Is(err, task.ErrGone) {
			k.Errorf("Rollback of what is gone: %v, want ErrGone", err)
		}
		second := k.consume()
		if err := first.Rollback(first.Context(), time.Hour); err != nil {
			k.Errorf("Rollback after the timeout: %v, want nil", err)
		}
		if f := k.c.Figures(); f.InHand != 1 || f.RolledBack != 2 {
			k.Errorf("figures are %+v, want the second in hand, and no more given back", f)
		}
		if st := k.state(); st.Claimed != 1 {
			k.Errorf("the set holds %+v, want the second in hand", st)
		}
		if err := second.Confirm(second.Context()); err != nil {
			k.Errorf("Confirm of the second: %v", err)
		}
		k.stop()
	})
}
