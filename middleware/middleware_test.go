package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/middleware"
)

var errBusy = errors.New("busy")

// sleepy is a handler that takes a second and then answers err.
func sleepy(err error) triggerhook.Handler {
	return func(ctx context.Context, _ *triggerhook.Delivery) error {
		select {
		case <-time.After(time.Second):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func panics(v any) triggerhook.Handler {
	return func(context.Context, *triggerhook.Delivery) error { panic(v) }
}

func returns(err error) triggerhook.Handler {
	return func(context.Context, *triggerhook.Delivery) error { return err }
}

// delivery is one that came late.
func delivery(late time.Duration) *triggerhook.Delivery {
	return &triggerhook.Delivery{Task: triggerhook.Task{ID: "a", Due: time.Now().Add(-late), Payload: []byte("secret"),
		Headers: map[string]string{"token": "secret"}}, Attempt: 2}
}

func TestLogSaysHowAHandlerEnded(t *testing.T) {
	for name, c := range map[string]struct {
		handler triggerhook.Handler
		late    time.Duration
		want    string
	}{
		"nil":                    {sleepy(nil), 3 * time.Second, `level=INFO msg="task handled" id=a attempt=2 late=3s took=1s`},
		"error":                  {sleepy(errBusy), 0, `level=WARN msg="task failed" id=a attempt=2 late=0s took=1s error=busy`},
		"snooze":                 {sleepy(fmt.Errorf("closed: %w", triggerhook.Snooze(time.Hour))), 0, `level=INFO msg="task snoozed" id=a attempt=2 late=0s took=1s error="closed: snoozed for 1h0m0s"`},
		"gone":                   {returns(fmt.Errorf("confirm: %w", triggerhook.ErrGone)), 0, `level=INFO msg="task was gone" id=a attempt=2`},
		"discard":                {returns(triggerhook.Discard("no such card")), 0, `level=WARN msg="task discarded" id=a attempt=2`},
		"recovered panic":        {middleware.Recover()(panics("fell")), 0, `error="handler panicked: fell" stack="goroutine `},
		"panic":                  {panics("fell"), 0, `level=ERROR msg="handler did not return" id=a attempt=2 late=0s took=0s`},
		"a clock that is behind": {sleepy(nil), -time.Minute, `late=0s`},
		"a handler that changes its delivery": {func(_ context.Context, d *triggerhook.Delivery) error {
			d.ID, d.Due = "b", time.Time{}
			return nil
		}, time.Second, `id=a attempt=2 late=1s took=0s`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				h := middleware.Log(slog.New(slog.NewTextHandler(&out, nil)))(c.handler)
				func() {
					defer func() {
						if v := recover(); (v != nil) != (name == "panic") {
							t.Errorf("it panicked with %v", v)
						}
					}()
					if err := h(t.Context(), delivery(c.late)); (err != nil) != slices.Contains([]string{"error", "snooze", "gone", "discard", "recovered panic"}, name) {
						t.Errorf("it answered %v", err)
					}
				}()
				if !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), "secret") || strings.Count(out.String(), "\n") != 1 {
					t.Errorf("it logged %q, want one line with %q", out.String(), c.want)
				}
			})
		})
	}
}

func TestLogSaysThatAGoroutineEnded(t *testing.T) {
	var out bytes.Buffer
	h := middleware.Log(slog.New(slog.NewTextHandler(&out, nil)))(middleware.Recover()(func(context.Context, *triggerhook.Delivery) error {
		runtime.Goexit()
		return nil
	}))
	var wg sync.WaitGroup
	wg.Go(func() { _ = h(t.Context(), delivery(0)) })
	wg.Wait()
	if !strings.Contains(out.String(), `level=ERROR msg="handler did not return" id=a`) {
		t.Errorf("it logged %q", out.String())
	}
}

// Not in parallel: it sets the default logger.
func TestLogWithoutALoggerUsesTheDefaultOfThatTime(t *testing.T) {
	h := middleware.Log(nil)(returns(nil))
	before := slog.Default()
	defer slog.SetDefault(before)
	var out bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	if err := h(t.Context(), delivery(0)); err != nil || !strings.Contains(out.String(), "task handled") {
		t.Errorf("it answered %v and logged %q", err, out.String())
	}
}

func TestTimeoutEndsTheContextAndNamesItself(t *testing.T) {
	for name, c := range map[string]struct {
		handler triggerhook.Handler
		limit   time.Duration
		took    time.Duration
		want    []error // in what it answers; none: nil
		not     error
	}{
		"in time":                  {sleepy(nil), 2 * time.Second, time.Second, nil, nil},
		"fails in time":            {sleepy(errBusy), 2 * time.Second, time.Second, []error{errBusy}, middleware.ErrTimeout},
		"too slow":                 {sleepy(nil), time.Second / 2, time.Second / 2, []error{middleware.ErrTimeout, context.DeadlineExceeded}, nil},
		"no limit":                 {sleepy(nil), 0, time.Second, nil, nil},
		"a negative limit is none": {sleepy(nil), -1, time.Second, nil, nil},
		"ignores it and succeeds": {func(context.Context, *triggerhook.Delivery) error {
			<-time.After(time.Second)
			return nil
		}, time.Second / 2, time.Second, nil, nil},
		"knows the cause": {func(ctx context.Context, _ *triggerhook.Delivery) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, time.Second / 2, time.Second / 2, []error{middleware.ErrTimeout}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := middleware.Timeout(c.limit)(c.handler)(t.Context(), delivery(0))
				if took := time.Since(began); took != c.took || (err != nil) != (len(c.want) > 0) || c.not != nil && errors.Is(err, c.not) {
					t.Errorf("it answered %v after %s, want %v after %s", err, took, c.want, c.took)
				}
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("it answered %v, want %v", err, want)
					}
				}
				if err != nil && strings.Count(err.Error(), middleware.ErrTimeout.Error()) > 1 {
					t.Errorf("it names itself twice: %v", err)
				}
			})
		})
	}
}

// The end of the delivery itself is not Timeout's.
func TestTimeoutLeavesTheCauseOfTheDelivery(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(triggerhook.ErrLeaseLost)
	err := middleware.Timeout(time.Minute)(sleepy(nil))(ctx, delivery(0))
	if !errors.Is(err, context.Canceled) || errors.Is(err, middleware.ErrTimeout) {
		t.Errorf("it answered %v, want %v alone", err, context.Canceled)
	}
}

func TestRecoverMakesAPanicAnError(t *testing.T) {
	for name, v := range map[string]any{"a string": "fell", "an error": io.ErrUnexpectedEOF} {
		t.Run(name, func(t *testing.T) {
			err := middleware.Recover()(panics(v))(t.Context(), delivery(0))
			var p *middleware.PanicError
			if !errors.As(err, &p) || p.Value != v || !bytes.Contains(p.Stack, []byte(".panics")) {
				t.Fatalf("it answered %v, want the value and the stack of the handler", err)
			}
			if want, is := v.(error); is && !errors.Is(err, want) {
				t.Errorf("%v is not %v", err, want)
			}
			if strings.Contains(err.Error(), "goroutine") || !strings.HasPrefix(err.Error(), "handler panicked: ") {
				t.Errorf("its text is %q, want the value without the stack", err)
			}
		})
	}
	if err := middleware.Recover()(returns(errBusy))(t.Context(), delivery(0)); err != errBusy {
		t.Errorf("without a panic it answered %v, want %v", err, errBusy)
	}
}
