package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// with returns the lines that hold all of words.
func (l *lines) with(words ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.b.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func logged(o consumer.Options) (consumer.Options, *lines) {
	l := &lines{}
	o.Report = &report.Reporter{Logger: slog.New(slog.NewTextHandler(l, nil))}
	return o, l
}

// handled is who has had a task, and how often.
type handled struct {
	mu    sync.Mutex
	times map[string]int
}

func (h *handled) note(d *consumer.Delivery) (times int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.times == nil {
		h.times = map[string]int{}
	}
	h.times[d.ID]++
	return h.times[d.ID]
}

func (h *handled) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.times)
}

// Handlers end in each way that there is: each is an answer, and no worker is lost.
func TestEachEndOfAHandlerIsAnAnswer(t *testing.T) {
	ends := map[string]func(d *consumer.Delivery) error{
		"error":          func(*consumer.Delivery) error { return errors.New("boom") },
		"panic":          func(*consumer.Delivery) error { panic("boom") },
		"panic of nil":   func(*consumer.Delivery) error { panic(nil) },
		"Goexit":         func(*consumer.Delivery) error { runtime.Goexit(); return nil },
		"Goexit, nested": func(*consumer.Delivery) error { func() { defer runtime.Goexit(); panic("boom") }(); return nil },
	}
	for name, end := range ends {
		o, log := logged(consumer.Options{})
		bubble(t, o, func(k *kit) {
			k.add(10, false)
			var h handled
			hs := k.c.Handle(2, func(_ context.Context, d *consumer.Delivery) error {
				d.ID, d.Attempt = d.ID[:7], -5 // its own affair
				if h.note(d) == 1 {
					return end(d)
				}
				return nil
			})
			k.run()
			<-time.After(100 * time.Millisecond) // before the keeper looks
			if h.len() != 10 {
				k.Errorf("%s: %d tasks have had their first handler at once, want 10", name, h.len())
			}
			<-time.After(time.Minute)
			if f := k.c.Figures(); k.store.len() != 0 || f.RolledBack != 10 || f.Confirmed != 10 || f.InHand != 0 {
				k.Errorf("%s: %d rows are left, figures %+v; want 10 rolled back, and then confirmed", name, k.store.len(), f)
			}
			if n := len(log.with("handler failed", "attempt=1", "error=")); n != 10 {
				k.Errorf("%s: %d lines tell of failures, want 10: %s", name, n, log.b.String())
			}
			k.stop()
			if err := hs.Stop(); err != nil {
				k.Errorf("%s: Stop: %v", name, err)
			}
		})
	}
}

// What a handler has settled itself is not answered again: it is no error, whatever its
// context's end was by then (a task that was deleted), and whatever it returns.
func TestWhatAHandlerSettledIsNotAnsweredAgain(t *testing.T) {
	o, log := logged(consumer.Options{DeliveryTimeout: time.Minute})
	bubble(t, o, func(k *kit) {
		k.add(3, false)
		outcomes := make(chan error, 3)
		hs := k.c.Handle(3, func(ctx context.Context, d *consumer.Delivery) error {
			switch d.ID {
			case "t000000": // deleted while it is handled
				k.deleteRow(d)
				if _, err := k.set.Remove(k.Context(), 0, "", []task.Ref{{ID: d.ID, Ver: 1}}); err != nil {
					k.Error(err)
				}
				<-ctx.Done()
				outcomes <- d.Confirm(ctx)
			case "t000001": // held for too long at first
				if d.Attempt == 1 {
					<-ctx.Done()
					<-time.After(5 * time.Second) // the second delivery confirms first
				}
				outcomes <- d.Confirm(ctx)
				return errors.New("and yet")
			default:
				d.ConfirmAsync()
			}
			return nil
		})
		k.run()
		<-time.After(2 * time.Minute)
		gone := 0
		for range 3 { // t000001 twice: one success
			if err := <-outcomes; errors.Is(err, task.ErrGone) {
				gone++
			} else if err != nil {
				k.Errorf("Confirm: %v", err)
			}
		}
		if gone != 2 || k.store.len() != 0 {
			k.Errorf("%d confirms met no row, want that of the deleted task, and one of two; %d rows are left", gone, k.store.len())
		}
		if n := o.Report.Counts(); len(n) > 0 {
			k.Errorf("errors are counted: %v, want none: %s", n, log.b.String())
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}

// stacked is a panic that a layer around the handler has made an error.
type stacked struct{ error }

// PanicStack is its stack.
func (stacked) PanicStack() []byte { return []byte("in main.go:7") }

// Which errors are failures: not that of a task that is gone, and a recovered panic is one that says where it was.
func TestWhatAHandlerAnswersIsTold(t *testing.T) {
	failed := map[string]int{}
	o, log := logged(consumer.Options{Hooks: hook.Hooks{Failed: func(f hook.Failed) { failed[f.ID]++ }}})
	bubble(t, o, func(k *kit) {
		k.add(4, false)
		hs := k.c.Handle(1, func(ctx context.Context, d *consumer.Delivery) error {
			switch {
			case d.Attempt > 1:
				return nil
			case d.ID == "t000000":
				return fmt.Errorf("confirm: %w", task.ErrGone)
			case d.ID == "t000001":
				return fmt.Errorf("print: %w", stacked{errors.New("boom")})
			case d.ID == "t000002":
				return d.Fail(ctx, errors.New("no paper"))
			default: // deleted meanwhile: the context ends
				k.deleteRow(d)
				if _, err := k.set.Remove(k.Context(), 0, "", []task.Ref{{ID: d.ID, Ver: 4}}); err != nil {
					k.Error(err)
				}
				<-ctx.Done()
				return ctx.Err()
			}
		})
		k.run()
		<-time.After(time.Minute)
		if want := map[string]int{"t000001": 1, "t000002": 1}; !maps.Equal(failed, want) || k.store.len() != 0 {
			k.Errorf("the hook Failed was told of %v, want %v; %d rows are left", failed, want, k.store.len())
		}
		for _, id := range []string{"t000000", "t000003"} {
			if n := len(log.with("level=INFO", `msg="triggerhook: handler ended, and its task was gone"`, "id="+id)); n != 1 {
				k.Errorf("%d lines say at Info that %s was gone, want 1: %s", n, id, log.b.String())
			}
		}
		if n := len(log.with("level=WARN", `msg="triggerhook: handler failed"`, "id=t000001", `error="print: boom"`, `stack="in main.go:7"`)); n != 1 {
			k.Errorf("%d lines say at Warn where t000001 panicked, want 1: %s", n, log.b.String())
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}

// Handlers that do not return are replaced, up to as many as there are workers. Once they
// return there are as many workers as before, and what they answer counts.
func TestStuckHandlersAreReplaced(t *testing.T) {
	const workers = 3
	o, log := logged(consumer.Options{DeliveryTimeout: time.Minute, Drain: time.Minute})
	bubble(t, o, func(k *kit) {
		free := make(chan struct{})
		var busy, most atomic.Int64
		var h handled
		hs := k.c.Handle(workers, func(_ context.Context, d *consumer.Delivery) error {
			if n := busy.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer busy.Add(-1)
			h.note(d)
			if d.ID < "t000003" && d.Attempt == 1 {
				<-free
			}
			<-time.After(time.Second)
			return nil
		})
		k.add(workers, false)
		k.run()
		<-time.After(30 * time.Second)
		if f := k.c.Figures(); f.Stuck != 0 || f.InHand != workers {
			k.Errorf("before DeliveryTimeout: stuck %d, in hand %d", f.Stuck, f.InHand)
		}
		<-time.After(10 * time.Minute)
		if f := k.c.Figures(); f.Stuck != workers || f.InHand != workers {
			k.Errorf("stuck %d, in hand %d, want %d each", f.Stuck, f.InHand, workers)
		}
		if w := log.with("level=WARN", "handlers are stuck", "stuck=3", "free=3", "t000001"); len(w) != 1 {
			k.Errorf("%d warnings name the three, want one: %s", len(w), log.b.String())
		}
		if k.store.len() != 0 { // the second run of each has confirmed it
			k.Errorf("%d rows are left", k.store.len())
		}
		close(free)
		<-time.After(time.Minute)
		if f := k.c.Figures(); f.Stuck != 0 || f.InHand != 0 || f.Confirmed != workers {
			k.Errorf("after they returned: stuck %d, in hand %d, confirmed %d", f.Stuck, f.InHand, f.Confirmed)
		}
		if len(log.with("no handler is stuck any more")) != 1 {
			k.Errorf("nothing tells that none is stuck any more: %s", log.b.String())
		}
		most.Store(0)
		k.addFrom(100, 100)
		<-time.After(3 * time.Minute)
		if most.Load() != workers {
			k.Errorf("%d handlers ran at once afterwards, want %d", most.Load(), workers)
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}

// No more than twice as many goroutines as were asked for exist, however many are stuck.
func TestReplacementsAreBounded(t *testing.T) {
	o, log := logged(consumer.Options{DeliveryTimeout: time.Second, Drain: time.Second})
	bubble(t, o, func(k *kit) {
		free := make(chan struct{})
		var busy atomic.Int64
		hs := k.c.Handle(2, func(context.Context, *consumer.Delivery) error {
			busy.Add(1)
			<-free
			return nil
		})
		k.add(20, false)
		k.run()
		<-time.After(time.Minute)
		if f := k.c.Figures(); busy.Load() != 4 || f.Stuck != 4 || f.InHand != 4 {
			k.Errorf("%d handlers run, %d are stuck, %d in hand, want 4 each", busy.Load(), f.Stuck, f.InHand)
		}
		if len(log.with("handlers are stuck", "stuck=4", "free=0")) == 0 {
			k.Errorf("nothing tells that no worker is free: %s", log.b.String())
		}
		close(free)
		<-time.After(time.Minute)
		if n := k.store.len(); n != 0 {
			k.Errorf("%d rows are left", n)
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}

// Stop returns though handlers ignore their contexts, and names what it leaves. What they
// answer later is tried once, and their goroutines end.
func TestStopNamesWhatItAbandons(t *testing.T) {
	o, log := logged(consumer.Options{Drain: 10 * time.Second, DeliveryTimeout: 5 * time.Second})
	bubble(t, o, func(k *kit) {
		free := make(chan struct{})
		letGo := sync.OnceFunc(func() { close(free) })
		defer time.AfterFunc(time.Hour, letGo).Stop() // for a Stop that waits for them
		hs := k.c.Handle(12, func(context.Context, *consumer.Delivery) error {
			<-free
			return nil
		})
		k.add(12, false)
		k.run()
		<-time.After(time.Second)
		began := time.Now()
		k.stop()
		err := hs.Stop()
		if took := time.Since(began); took > 15*time.Second {
			k.Errorf("it took %s, Drain is 10 s", took)
		}
		if !errors.Is(err, task.ErrAbandoned) || !strings.Contains(fmt.Sprint(err), "12 deliveries") ||
			!strings.Contains(fmt.Sprint(err), "and 2 more") || strings.Count(fmt.Sprint(err), "t0000") != 10 {
			k.Errorf("Stop: %v, want ErrAbandoned, 12 deliveries, and 10 of their IDs", err)
		}
		if len(log.with("level=WARN", "not settled within Drain", "deliveries=12")) != 1 {
			k.Errorf("the drain does not say what was not answered: %s", log.b.String())
		}
		if st := k.state(); st.Claimed != 0 || st.Waiting != 12 {
			k.Errorf("the set holds %+v, want all waiting", st)
		}
		letGo()
		<-time.After(time.Minute)
		synctest.Wait()
		if n, f := k.store.len(), k.c.Figures(); n != 0 || f.Stuck != 0 || f.InHand != 0 {
			k.Errorf("after they returned %d rows are left, figures %+v", n, f)
		}
	})
}

// A handler that returns once its context has ended, with the drain, is waited for, and so is
// its answer.
func TestStopWaitsForWhoHeedsTheEndOfTheDrain(t *testing.T) {
	for name, result := range map[string]error{"success": nil, "failure": errors.New("no")} {
		bubble(t, consumer.Options{Drain: 5 * time.Second}, func(k *kit) {
			hs := k.c.Handle(2, func(ctx context.Context, _ *consumer.Delivery) error {
				<-ctx.Done()
				<-time.After(time.Second)
				return result
			})
			k.add(2, false)
			k.run()
			<-time.After(time.Second)
			k.store.mu.Lock()
			k.store.slow = 500 * time.Millisecond
			k.store.mu.Unlock()
			k.stop()
			if err := hs.Stop(); err != nil {
				k.Errorf("%s: Stop: %v", name, err)
			}
			if n := k.store.len(); (n == 0) != (result == nil) {
				k.Errorf("%s: %d rows are left when Stop has returned", name, n)
			}
		})
	}
}
