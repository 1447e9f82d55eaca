package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// A handler that takes longer than DeliveryTimeout and succeeds ends its task: it runs once
// more at most, which had begun before.
func TestASuccessAfterTheTimeoutEndsTheTask(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{DeliveryTimeout: 300 * time.Millisecond})
		if err := sch.Create(t.Context(), tasks(1, func(int) time.Time { return time.Now() })...); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var began, succeeded atomic.Int64
		err := sch.Handle(ctx, 4, func(context.Context, *triggerhook.Delivery) error {
			began.Add(1)
			sleep(t, 1500*time.Millisecond) // it does not heed its context
			if succeeded.Add(1) == 1 {
				time.AfterFunc(3*time.Second, stop)
			}
			return nil
		})
		if err != nil {
			t.Errorf("Handle: %v", err)
		}
		if began.Load() > 2 || succeeded.Load() != began.Load() {
			t.Errorf("it began %d times, and succeeded %d times, want at most 2", began.Load(), succeeded.Load())
		}
		empty(t, s)
	})
}

// Confirm with the context that a handler was given tells the outcome, on every pair of stores.
func TestConfirmWithTheHandlersContextTellsTheOutcome(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		for range 10 {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
				t.Fatal(err)
			}
			d := next(t, sch)
			if err := d.Rollback(d.Context(), 0); err != nil {
				t.Errorf("Rollback: %v", err)
			}
			d = next(t, sch)
			if err := d.Confirm(d.Context()); err != nil {
				t.Errorf("Confirm: %v", err)
			}
		}
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		ctx := d.Context()
		if err := sch.Delete(t.Context(), "a"); !errors.Is(err, triggerhook.ErrClaimed) {
			t.Errorf("Delete of what is in hand: %v", err)
		}
		<-ctx.Done()
		if err := d.Confirm(ctx); !errors.Is(err, triggerhook.ErrGone) {
			t.Errorf("Confirm of what was deleted: %v, want ErrGone", err)
		}
	})
}

// A task that is deleted while a handler has it, and that confirms it nevertheless, is no error.
func TestAHandlerThatSettlesAfterItsEndIsNoError(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		ctx, stop := context.WithCancel(t.Context())
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		err := sch.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
			defer time.AfterFunc(time.Second, stop)
			if err := sch.Delete(t.Context(), d.ID); !errors.Is(err, triggerhook.ErrClaimed) {
				t.Errorf("Delete: %v", err)
			}
			<-ctx.Done()
			if err := d.Confirm(ctx); !errors.Is(err, triggerhook.ErrGone) {
				t.Errorf("Confirm: %v, want ErrGone", err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("Handle: %v", err)
		}
		if st, _ := sch.Stats(context.Background()); len(st.Process.Errors) > 0 || st.Process.InHand > 0 {
			t.Errorf("errors %v, in hand %d, want none", st.Process.Errors, st.Process.InHand)
		}
	})
}

// Handle returns, though a handler ignores its context, and names what it left.
func TestHandleNamesWhatItAbandons(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{Drain: 10 * time.Second})
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		free, ended := make(chan struct{}), time.Time{}
		err := sch.Handle(ctx, 2, func(context.Context, *triggerhook.Delivery) error {
			ended = time.Now()
			stop()
			<-free
			return nil
		})
		if took := time.Since(ended); took > 15*time.Second {
			t.Errorf("Handle returned after %s, Drain is 10 s", took)
		}
		if !errors.Is(err, triggerhook.ErrAbandoned) || !strings.HasPrefix(err.Error(), "handle: 1 deliveries") || !strings.HasSuffix(err.Error(), `"a"`) {
			t.Errorf("Handle: %v, want ErrAbandoned, and the delivery's ID", err)
		}
		close(free)
		<-time.After(time.Second)
		empty(t, s) // its answer came late, and counts
	})
}

// Run returns nil where a caller of Consume does not answer: the task is given back.
func TestRunReturnsNilThoughACallerDoesNotAnswer(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var log bytes.Buffer
		sch := s.scheduler(t, triggerhook.Options{Drain: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		stop := run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		stop()
		if cause := context.Cause(d.Context()); !errors.Is(cause, triggerhook.ErrClosed) {
			t.Errorf("the context ended because of %v, want ErrClosed", cause)
		}
		if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "not settled within Drain") || !strings.Contains(text, `\"a\"`) {
			t.Errorf("no warning names it: %s", text)
		}
	})
}

// Handlers that end their goroutines, as a test's FailNow does, are failures.
func TestGoexitOfAHandlerIsAFailure(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		if err := sch.Create(t.Context(), tasks(5, func(int) time.Time { return time.Now() })...); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := sch.Handle(ctx, 2, func(_ context.Context, d *triggerhook.Delivery) error {
			if d.Attempt == 1 {
				runtime.Goexit()
			}
			return nil
		})
		if err != nil {
			t.Errorf("Handle: %v", err)
		}
		if st, _ := sch.Stats(context.Background()); st.Process.RolledBack != 5 || st.Process.Confirmed != 5 {
			t.Errorf("rolled back %d, confirmed %d, want 5 each", st.Process.RolledBack, st.Process.Confirmed)
		}
		empty(t, s)
	})
}
