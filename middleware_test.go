package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// trace notes what happens, in order.
type trace struct {
	mu  sync.Mutex
	all []string
}

func (t *trace) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, what)
}

// around notes when a Handler is entered and left.
func (t *trace) around(name string) triggerhook.Middleware {
	t.note("wrap " + name)
	return func(next triggerhook.Handler) triggerhook.Handler {
		t.note("make " + name)
		return func(ctx context.Context, d *triggerhook.Delivery) error {
			t.note("enter " + name)
			defer t.note("leave " + name)
			return next(ctx, d)
		}
	}
}

// The first middleware is the outermost; each wraps once, before the first delivery; a change of the
// caller's slice after New changes nothing; and what a middleware puts into the context is there.
func TestTheFirstMiddlewareIsTheOutermost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var seen trace
		value := func(next triggerhook.Handler) triggerhook.Handler {
			return func(ctx context.Context, d *triggerhook.Delivery) error {
				return next(context.WithValue(ctx, key{}, "of "+d.ID), d)
			}
		}
		all := []triggerhook.Middleware{seen.around("outer"), value, seen.around("inner")}
		later := seen.around("later")
		seen.all = nil
		sch := embedded(t, 1).scheduler(t, triggerhook.Options{Middleware: all})
		all[0], all[2] = later, later
		if err := sch.Create(t.Context(), tasks(2, func(i int) time.Time { return time.Now().Add(time.Duration(i) * time.Second) })...); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		err := sch.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
			if got := ctx.Value(key{}); got != "of "+d.ID {
				t.Errorf("the handler of %s has the value %v", d.ID, got)
			}
			seen.note("handle")
			if len(seen.all) >= 10 { // the second
				stop()
			}
			return nil
		})
		once := []string{"enter outer", "enter inner", "handle", "leave inner", "leave outer"}
		want := append([]string{"make inner", "make outer"}, append(once, once...)...)
		if err != nil || !slices.Equal(seen.all, want) {
			t.Errorf("Handle: %v; it was seen %q, want %q", err, seen.all, want)
		}
	})
}

// What the outermost Handler returns is what counts: a middleware may turn an error into success, or
// success into an error, and a panic of one is that of the handler.
func TestAMiddlewareDecidesWhatIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		errBusy := errors.New("busy")
		gate := func(next triggerhook.Handler) triggerhook.Handler {
			return func(ctx context.Context, d *triggerhook.Delivery) error {
				switch err := next(ctx, d); {
				case d.ID == "panics" && d.Attempt == 1:
					panic("gate fell")
				case d.ID == "refused" && d.Attempt == 1:
					return errBusy
				case d.ID == "forgiven":
					return nil
				default:
					return err
				}
			}
		}
		sch := embedded(t, 1).scheduler(t, triggerhook.Options{Middleware: []triggerhook.Middleware{gate},
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Retry: retrypolicy.Constant(time.Second)})
		for _, id := range []string{"panics", "refused", "forgiven"} {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		calls := map[string]int{}
		err := sch.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
			calls[d.ID]++
			if d.ID == "forgiven" {
				return errBusy
			}
			return nil
		})
		if err != nil || calls["panics"] != 2 || calls["refused"] != 2 || calls["forgiven"] != 1 {
			t.Errorf("Handle: %v; the handler was called %v, want two times, two times and once", err, calls)
		}
		for _, want := range []string{"handler panicked: gate fell", "error=busy"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not have %q:\n%s", want, log.String())
			}
		}
	})
}

// A nil middleware, and one that makes no handler, are refused by name; nothing has run then.
func TestANilMiddlewareIsRefused(t *testing.T) {
	s := embedded(t, 1)
	pass := func(next triggerhook.Handler) triggerhook.Handler { return next }
	_, err := triggerhook.New(s.store, s.set, triggerhook.Options{Middleware: []triggerhook.Middleware{pass, nil}})
	if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "Options.Middleware[1] is nil") {
		t.Errorf("New with a nil middleware: %v, want ErrInvalid that names it", err)
	}
	makes := false
	sch := s.scheduler(t, triggerhook.Options{Middleware: []triggerhook.Middleware{pass, func(next triggerhook.Handler) triggerhook.Handler {
		if !makes {
			return nil
		}
		return next
	}}})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	handle := func(context.Context, *triggerhook.Delivery) error { return nil }
	err = sch.Handle(ctx, 1, handle)
	if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "Options.Middleware[1] returned a nil Handler") {
		t.Errorf("Handle with a middleware that makes nothing: %v, want ErrInvalid that names it", err)
	}
	makes = true
	if err := sch.Handle(ctx, 1, handle); errors.Is(err, triggerhook.ErrRunning) || errors.Is(err, triggerhook.ErrClosed) || errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Handle after that: %v, want that it may run", err)
	}
}
