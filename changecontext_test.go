package triggerhook_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// answersLate is a hot set whose removals take effect at once, and are answered 10 ms later: workers hear of them before.
type answersLate struct{ hotset.Set }

func (l *answersLate) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	res, err := l.Set.Remove(ctx, p, token, refs)
	<-time.After(10 * time.Millisecond)
	return res, err
}

// changes are the calls that delete or move the task a, which is in the hands of their caller. They return what is wrong.
var changes = map[string]func(context.Context, *triggerhook.Scheduler) error{
	"Delete": func(ctx context.Context, s *triggerhook.Scheduler) error {
		if err := s.Delete(ctx, "a"); !errors.Is(err, triggerhook.ErrClaimed) {
			return errors.Join(errors.New("want ErrClaimed"), err)
		}
		return nil
	},
	"DeleteWhere": func(ctx context.Context, s *triggerhook.Scheduler) error {
		_, err := s.DeleteWhere(ctx, triggerhook.Filter{IDPrefix: "a"}, triggerhook.WhereOptions{})
		return err
	},
	"Reschedule": func(ctx context.Context, s *triggerhook.Scheduler) error { return s.Reschedule(ctx, "a", in30s()) },
	"RescheduleWhere": func(ctx context.Context, s *triggerhook.Scheduler) error {
		_, err := s.RescheduleWhere(ctx, triggerhook.Filter{IDPrefix: "a"}, triggerhook.Shift{To: in30s()}, triggerhook.WhereOptions{})
		return err
	},
	"Update": func(ctx context.Context, s *triggerhook.Scheduler) error {
		return s.Update(ctx, "a", triggerhook.Change{Due: in30s()})
	},
	"Upsert": func(ctx context.Context, s *triggerhook.Scheduler) error {
		_, err := s.Upsert(ctx, triggerhook.Debounce, &triggerhook.Task{ID: "a", Due: in30s()})
		return err
	},
}

// inHand runs a test in a bubble for each change. A task a is in hand.
func inHand(t *testing.T, test func(t *testing.T, d *triggerhook.Delivery, change func(context.Context) error)) {
	for name, change := range changes {
		t.Run(name+"/bolt+local", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := embedded(t, 1)
				s.set = &answersLate{s.set}
				sch := s.scheduler(t, triggerhook.Options{})
				stop := run(t, sch)
				defer stop()
				if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
					t.Fatal(err)
				}
				d := next(t, sch)
				defer d.ConfirmAsync()
				test(t, d, func(ctx context.Context) error { return change(ctx, sch) })
			})
		})
	}
}

// A handler may change its own task with its own context, which ends because of that: the call has its outcome all the same.
func TestAHandlerChangesItsOwnTaskWithItsContext(t *testing.T) {
	inHand(t, func(t *testing.T, d *triggerhook.Delivery, change func(context.Context) error) {
		if err := change(d.Context()); err != nil {
			t.Error(err)
		}
		sleep(t, 2*time.Second)
		if got := context.Cause(d.Context()); !errors.Is(got, triggerhook.ErrGone) {
			t.Errorf("the delivery's context ended because of %v, want ErrGone", got)
		}
		if err := change(d.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that had ended before: %v, want %v", err, context.Canceled)
		}
	})
}

// Whatever else ends the context of a call ends the wait for its answer.
func TestAnyOtherEndOfAContextEndsTheCall(t *testing.T) {
	ends := map[string]struct {
		derive func(context.Context) (context.Context, context.CancelFunc)
		want   error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Millisecond)
		}, context.DeadlineExceeded},
		"cancel": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(5*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancel before a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			time.AfterFunc(5*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled},
		"a deadline that it does not tell": {func(context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			return untold{ctx}, cancel
		}, context.Canceled},
	}
	for name, end := range ends {
		inHand(t, func(t *testing.T, _ *triggerhook.Delivery, change func(context.Context) error) {
			ctx, cancel := end.derive(t.Context())
			defer cancel()
			if err := change(ctx); !errors.Is(err, end.want) {
				t.Errorf("%s: %v, want %v", name, err, end.want)
			}
		})
	}
}

// untold is a context that tells no deadline.
type untold struct{ context.Context }

func (untold) Deadline() (time.Time, bool) { return time.Time{}, false }
