package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
)

// checkedStore is a store whose Check answers what a test says.
type checkedStore struct {
	durable.Store
	check func(context.Context) error
}

func (s *checkedStore) Check(ctx context.Context, _ int) error { return s.check(ctx) }

// A program whose context ends while it waits for its servers has not run, and says so:
// nil would look like a drain that is finished. It may run again.
func TestRunThatNeverGotThroughItsCheckSaysWhy(t *testing.T) {
	away := fmt.Errorf("%w: dial tcp: connection refused", triggerhook.ErrUnavailable)
	for name, c := range map[string]struct {
		check func(context.Context) error
		want  string
	}{
		"away":    {func(context.Context) error { return away }, "connection refused"},
		"unknown": {func(context.Context) error { return errors.New("strange news") }, "strange news"},
		"silent":  {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "no check was finished"},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				store := &checkedStore{s.store, c.check}
				s.store = store
				sch := s.scheduler(t, triggerhook.Options{})
				for _, work := range []func(context.Context) error{
					sch.Run,
					func(ctx context.Context) error {
						return sch.Handle(ctx, 1, func(context.Context, *triggerhook.Delivery) error { return nil })
					},
				} {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					err := work(ctx)
					cancel()
					if !errors.Is(err, triggerhook.ErrUnavailable) || !strings.Contains(err.Error(), c.want) || errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("it answered %v, want ErrUnavailable with %q, and not the end of its context", err, c.want)
					}
				}
				store.check = func(ctx context.Context) error {
					return s.store.(*checkedStore).Store.Check(ctx, s.set.Config().Partitions)
				}
				stop := run(t, sch)
				if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now()}); err != nil {
					t.Fatal(err)
				}
				if err := next(t, sch).Confirm(t.Context()); err != nil {
					t.Error(err)
				}
				stop()
			})
		})
	}
}
