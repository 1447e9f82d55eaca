package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// setHung has nothing answered, or all again.
func (f *faulty) setHung(hung bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hung = hung
}

// handedOut hands out the one task of a consumer with a DeliveryTimeout of a minute, half a second after a beat of its
// keeper, so that no beat falls on the deadline.
func (k *kit) handedOut() (d *consumer.Delivery, deadline time.Time) {
	k.run()
	<-time.After(time.Second / 2)
	k.add(1, false)
	d = k.consume()
	return d, time.Now().Add(time.Minute)
}

// The context of a delivery, and each that is derived from it, ends at its deadline, as a context does, and says so.
// It makes no difference whether anything has looked at it before.
func TestADeliverysContextEndsAtItsDeadline(t *testing.T) {
	for kind, derive := range derived {
		for _, before := range []bool{true, false} {
			if kind == "merged" {
				continue // it has neither deadline nor cause
			}
			bubble(t, consumer.Options{DeliveryTimeout: time.Minute}, func(k *kit) {
				d, want := k.handedOut()
				if got, is := d.Context().Deadline(); !is || !got.Equal(want) {
					k.Errorf("the deadline is %s, %t; want DeliveryTimeout after the hand-out: %s", got, is, want)
				}
				ctx, cancel := d.Context(), context.CancelFunc(func() {})
				if before {
					ctx, cancel = derive(ctx)
				}
				<-time.After(time.Until(want) - time.Nanosecond)
				if synctest.Wait(); ctx.Err() != nil || context.Cause(ctx) != nil || ctx.Value(traceKey{}) != nil && kind != "value" {
					k.Errorf("%s: it has ended before its deadline: %v, %v", kind, ctx.Err(), context.Cause(ctx))
				}
				<-time.After(time.Nanosecond)
				if synctest.Wait(); !before {
					ctx, cancel = derive(ctx)
				}
				if err, cause := ctx.Err(), context.Cause(ctx); err != context.DeadlineExceeded || !errors.Is(cause, task.ErrTimeout) { //nolint:errorlint // as contexts do
					k.Errorf("%s, derived before: %t: at its deadline it has ended with %v because of %v; want DeadlineExceeded, ErrTimeout", kind, before, err, cause)
				}
				if st := k.state(); st.Claimed != 1 {
					k.Errorf("at the deadline the set holds %+v; it is the keeper's next beat that gives the task back", st)
				}
				<-time.After(time.Second)
				if st := k.state(); st.Waiting != 1 {
					k.Errorf("a beat after the deadline the set holds %+v, want the task given back", st)
				}
				cancel()
				if err := d.Confirm(k.Context()); err != nil {
					k.Errorf("Confirm: %v", err)
				}
				k.stop()
			})
		}
	}
}

// What ends a delivery's context before its deadline leaves the deadline as it is, and the deadline changes nothing of it. What
// comes after the deadline changes nothing either.
func TestTheFirstEndOfADeliverysContextStands(t *testing.T) {
	type end struct {
		err   error
		cause error
	}
	lost, late := end{context.Canceled, task.ErrLeaseLost}, end{context.DeadlineExceeded, task.ErrTimeout}
	for _, first := range []end{lost, late} {
		for _, looked := range []bool{true, false} {
			bubble(t, consumer.Options{DeliveryTimeout: time.Minute, Lease: 5 * time.Second}, func(k *kit) {
				d, deadline := k.handedOut()
				if looked {
					_ = d.Context().Done()
				}
				if first == late {
					<-time.After(time.Until(deadline) - 4*time.Second)
				}
				k.set.set(true) // the lease is lost 5 s later at most
				<-time.After(time.Until(deadline) + time.Minute)
				k.set.set(false)
				synctest.Wait()
				got := end{d.Context().Err(), context.Cause(d.Context())}
				if is, _ := d.Context().Deadline(); got != first || !is.Equal(deadline) {
					k.Errorf("it has ended with %v because of %v, its deadline is %s; want %+v and %s", got.err, got.cause, is, first, deadline)
				}
				if _, open := <-d.Context().Done(); open {
					k.Error("Done has a value")
				}
				d.ConfirmAsync()
				k.stop()
			})
		}
	}
}

// A Confirm with the delivery's own context, or one derived from it, near the deadline learns its outcome after it. A deadline of
// the caller's own that is earlier counts.
func TestTheDeadlineCutsNoConfirmShort(t *testing.T) {
	for verb, answer := range answers {
		for kind, derive := range derived {
			if kind == "merged" {
				continue
			}
			for _, own := range []bool{false, true} {
				bubble(t, consumer.Options{DeliveryTimeout: time.Minute}, func(k *kit) {
					d, deadline := k.handedOut()
					<-time.After(59 * time.Second)
					ctx, cancel := derive(d.Context())
					defer cancel()
					if own {
						soon, stop := context.WithDeadline(ctx, deadline.Add(-time.Millisecond))
						defer stop()
						ctx = soon
					}
					k.store.held = make(chan struct{})
					k.set.setHung(true)
					mend := sync.OnceFunc(func() {
						close(k.store.held)
						k.set.setHung(false)
					})
					time.AfterFunc(5*time.Second, mend)
					err := answer(d, ctx)
					if early := time.Now().Before(deadline); early != own || own != errors.Is(err, context.DeadlineExceeded) || !own && err != nil {
						k.Errorf("%s with %s, a deadline of its own: %t: %v, %s after the deadline", verb, kind, own, err, time.Since(deadline))
					}
					<-time.After(time.Minute)
					k.stop()
				})
			}
		}
	}
}

// A derived context says where it comes from.
func TestADeliverysContextHasAName(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		d, _ := k.handedOut()
		ctx, cancel := context.WithCancel(d.Context())
		cancel()
		if got := fmt.Sprint(ctx); got != "Delivery.Context.WithCancel" {
			k.Errorf("it is called %q", got)
		}
		d.ConfirmAsync()
		k.stop()
	})
}
