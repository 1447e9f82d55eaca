// Package middleware has the triggerhook.Middleware that most services write for themselves:
// a log line for each delivery, a time limit for each handler, and panics as errors.
//
//	triggerhook.Options{Middleware: []triggerhook.Middleware{
//		middleware.Log(logger),                // outermost: it sees what the others answer
//		middleware.Timeout(30 * time.Second),
//		middleware.Recover(),                  // innermost: the others see an error, and no panic
//	}}
//
// metrics.Handlers measures handlers for Prometheus. None of them reads or changes a task's
// payload or headers, which may be secret.
package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/triggerhook/triggerhook"
)

// Log writes one line for each delivery once its handler has ended:
//
//	line                    level  when the handler
//	task handled            Info   returned nil
//	task snoozed            Info   returned a triggerhook.Snooze
//	task was gone           Info   returned an error of a task that was gone (triggerhook.Gone)
//	task discarded          Warn   returned a triggerhook.Discard
//	task failed             Warn   returned another error
//	handler did not return  Error  panicked, or ended its goroutine (runtime.Goexit); the panic goes on
//
// Each line has id, attempt, late and took, the error if there is one, and the stack if Recover has made the error. late is the time
// from Delivery.Due to the begin of the handler, by this process's clock, never below zero. So a further attempt is late by the delays before it too, and one after
// a Snooze of a day is late by a day. A nil logger is slog.Default() at the time of the line.
func Log(logger *slog.Logger) triggerhook.Middleware {
	return func(next triggerhook.Handler) triggerhook.Handler {
		return func(ctx context.Context, d *triggerhook.Delivery) (err error) {
			began := time.Now()
			id, attempt, late := d.ID, d.Attempt, max(0, began.Sub(d.Due)) // the handler may change d
			level, message := slog.LevelError, "handler did not return"
			defer func() {
				attrs := []slog.Attr{slog.String("id", id), slog.Int("attempt", attempt), slog.Duration("late", late), slog.Duration("took", time.Since(began))}
				if err != nil {
					attrs = append(attrs, slog.Any("error", err))
				}
				if p := (*PanicError)(nil); errors.As(err, &p) {
					attrs = append(attrs, slog.String("stack", string(p.Stack)))
				}
				l := logger
				if l == nil {
					l = slog.Default()
				}
				l.LogAttrs(ctx, level, message, attrs...)
			}()
			switch err = next(ctx, d); {
			case err == nil:
				level, message = slog.LevelInfo, "task handled"
			case triggerhook.Gone(ctx, err):
				level, message = slog.LevelInfo, "task was gone"
			case triggerhook.Snoozed(err):
				level, message = slog.LevelInfo, "task snoozed"
			case triggerhook.Discarded(err):
				level, message = slog.LevelWarn, "task discarded"
			default:
				level, message = slog.LevelWarn, "task failed"
			}
			return err
		}
	}
}

// ErrTimeout is the cause of the end of a context that Timeout has ended, and is in the error of
// a handler that returns an error after that.
var ErrTimeout = errors.New("the handler's time limit is over")

// Timeout ends the context of a handler after limit, with the cause ErrTimeout. It does not stop a handler
// that ignores its context; Options.DeliveryTimeout offers the task of such a handler again. It
// changes no nil: a handler that succeeds late has succeeded. A limit that is not positive is none.
func Timeout(limit time.Duration) triggerhook.Middleware {
	return func(next triggerhook.Handler) triggerhook.Handler {
		if limit <= 0 {
			return next
		}
		return func(ctx context.Context, d *triggerhook.Delivery) error {
			ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
			defer cancel()
			err := next(ctx, d)
			if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) && !errors.Is(err, ErrTimeout) {
				err = fmt.Errorf("%w (%s): %w", ErrTimeout, limit, err)
			}
			return err
		}
	}
}

// PanicError is the error that Recover makes of a panic.
type PanicError struct {
	Value any    // that panic was called with
	Stack []byte // of the handler's goroutine at the panic, as runtime/debug.Stack has it
}

// Error names the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// PanicStack is Stack. Handle looks for an error with this method, and logs it at Warn with the stack, as it does with a panic.
func (e *PanicError) PanicStack() []byte { return e.Stack }

// Unwrap returns the value if it is an error, such as a runtime.Error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Recover makes a panic of a handler an error, a *PanicError, so that the Middleware around it
// (a log line, a metric, a span) can treat it like any other. Without it Handle does that, after all
// Middleware. runtime.Goexit cannot be recovered from: it passes.
func Recover() triggerhook.Middleware {
	return func(next triggerhook.Handler) triggerhook.Handler {
		return func(ctx context.Context, d *triggerhook.Delivery) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = &PanicError{Value: v, Stack: debug.Stack()}
				}
			}()
			return next(ctx, d)
		}
	}
}
