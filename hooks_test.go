package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// toldEvents collects what hooks are told.
type toldEvents struct {
	mu    sync.Mutex
	lines []string
}

func (x *toldEvents) add(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lines = append(x.lines, fmt.Sprintf(format, args...))
}

// taken returns the lines that begin with one of some words, and forgets all.
func (x *toldEvents) taken(words ...string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := slices.DeleteFunc(x.lines, func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(line, w) })
	})
	x.lines = nil
	return strings.Join(all, "\n")
}

func eventNames(tasks []hook.Task, start time.Time) string {
	var all []string
	for _, t := range tasks {
		all = append(all, fmt.Sprintf("%s due %s attempt %d", t.ID, t.Due.Sub(start), t.Attempt))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// hooks note all events, with due times as seen from start.
func (x *toldEvents) hooks(start time.Time) hook.Hooks {
	return hook.Hooks{
		Created: func(e hook.Created) { x.add("created %s", eventNames(e.Tasks, start)) },
		Preloaded: func(e hook.Preloaded) {
			x.add("preloaded %d of %s in %d", e.Added, strings.Join(slices.Sorted(slices.Values(e.IDs)), " "), e.Partition)
		},
		Claimed:       func(e hook.Claimed) { x.add("claimed %s in %d", eventNames(e.Tasks, start), e.Partition) },
		Delivered:     func(e hook.Delivered) { x.add("delivered %s late %s", eventNames([]hook.Task{e.Task}, start), e.Late) },
		Confirmed:     func(e hook.Confirmed) { x.add("confirmed %s", eventNames(e.Tasks, start)) },
		Failed:        func(e hook.Failed) { x.add("failed %s: %v", eventNames([]hook.Task{e.Task}, start), e.Err) },
		LeaseLost:     func(e hook.LeaseLost) { x.add("lost %s in %d", eventNames(e.Tasks, start), e.Partition) },
		Rebuilt:       func(e hook.Rebuilt) { x.add("rebuild %d", e.Partition) },
		LeaderElected: func(e hook.LeaderElected) { x.add("elected %s", e.Role) },
	}
}

// handled runs a Scheduler with hooks and a handler until ctx of the test ends, and returns it. The
// hot set is empty at first.
func handled(t *testing.T, o triggerhook.Options, h triggerhook.Handler) (*triggerhook.Scheduler, func()) {
	o.Retry = retrypolicy.Constant(10 * time.Second)
	x := embedded(t, 1)
	s, err := triggerhook.New(x.store, x.set, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Handle(ctx, 2, h) }()
	synctest.Wait()
	return s, func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Each hook is called where it says: a task that is due soon is preloaded by Create, one that is due
// later by the feeder; a failed attempt is delivered again.
func TestHooksAreToldOfATasksLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, start := &toldEvents{}, time.Now()
		s, stop := handled(t, triggerhook.Options{Hooks: x.hooks(start)}, func(_ context.Context, d *triggerhook.Delivery) error {
			if d.Attempt == 1 {
				return errors.New("no luck")
			}
			return nil
		})
		check := func(what, want string, words ...string) {
			t.Helper()
			synctest.Wait()
			if got := x.taken(words...); got != want {
				t.Errorf("%s:\n got %s\nwant %s", what, got, want)
			}
		}
		check("the start", "elected feeder\nelected reaper\nelected auditor\nrebuild 0", "elected", "rebuild", "lost")
		soon := &triggerhook.Task{ID: "soon", Due: start.Add(5 * time.Second)}
		far := &triggerhook.Task{ID: "far", Due: start.Add(2 * time.Minute)}
		if err := s.Create(t.Context(), soon, far); err != nil {
			t.Fatal(err)
		}
		check("Create", "created far due 2m0s attempt 0, soon due 5s attempt 0\npreloaded 1 of soon in 0", "")
		if err := s.Create(t.Context(), soon); !errors.Is(err, triggerhook.ErrExists) {
			t.Fatalf("the second Create: %v", err)
		}
		check("a Create that fails", "", "")
		<-time.After(5 * time.Second)
		check("the first attempt", "claimed soon due 5s attempt 1 in 0\ndelivered soon due 5s attempt 1 late 0s\n"+
			"failed soon due 5s attempt 1: no luck", "claimed", "delivered", "failed", "confirmed", "lost")
		<-time.After(11 * time.Second)
		check("the second attempt", "claimed soon due 5s attempt 2 in 0\ndelivered soon due 5s attempt 2 late 10.001s\n"+
			"confirmed soon due 5s attempt 2", "claimed", "delivered", "failed", "confirmed", "lost")
		<-time.After(2 * time.Minute)
		check("the far task", "preloaded 1 of far in 0\nclaimed far due 2m0s attempt 1 in 0\ndelivered far due 2m0s attempt 1 late 0s\n"+
			"failed far due 2m0s attempt 1: no luck\nclaimed far due 2m0s attempt 2 in 0\ndelivered far due 2m0s attempt 2 late 10.001s\n"+
			"confirmed far due 2m0s attempt 2", "preloaded", "claimed", "delivered", "failed", "confirmed", "lost")
		stop()
	})
}

// A hook that takes its time shows the order: a task is not delivered before Claimed has returned, its Handler is
// not called before Delivered has, and Run has not returned before Confirmed has.
func TestHooksAreToldInTheOrderThatIsPromised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &toldEvents{}
		slowly := func(line string) {
			x.add("begins %s", line)
			<-time.After(100 * time.Millisecond)
			x.add("ends %s", line)
		}
		hooks := hook.Hooks{
			Claimed:   func(hook.Claimed) { slowly("claimed") },
			Delivered: func(hook.Delivered) { slowly("delivered") },
			Confirmed: func(hook.Confirmed) { slowly("confirmed") },
		}
		s, stop := handled(t, triggerhook.Options{Hooks: hooks}, func(context.Context, *triggerhook.Delivery) error {
			x.add("handler")
			return nil
		})
		if err := s.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		<-time.After(250 * time.Millisecond)
		stop()
		want := "begins claimed\nends claimed\nbegins delivered\nends delivered\nhandler\nbegins confirmed\nends confirmed"
		if got := x.taken(""); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A Confirm of a task that was deleted meanwhile confirms nothing, and no hook says that it did.
func TestNoHookIsToldOfAConfirmThatCameTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &toldEvents{}
		var s *triggerhook.Scheduler
		s, stop := handled(t, triggerhook.Options{Hooks: x.hooks(time.Now())}, func(ctx context.Context, d *triggerhook.Delivery) error {
			if err := s.Delete(context.WithoutCancel(ctx), d.ID); !errors.Is(err, triggerhook.ErrClaimed) { // ctx ends once the removal is heard of
				t.Errorf("Delete: %v, want ErrClaimed", err)
			}
			if err := d.Confirm(ctx); !errors.Is(err, triggerhook.ErrGone) {
				t.Errorf("Confirm: %v, want ErrGone", err)
			}
			return nil
		})
		if err := s.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if got := x.taken("confirmed", "failed"); got != "" {
			t.Errorf("told %s, want nothing", got)
		}
		stop()
	})
}

// A hook that panics is logged with its name, and the work goes on.
func TestAHookThatPanicsStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := &logText{}
		x := &toldEvents{}
		all := x.hooks(time.Now())
		all.Created = func(hook.Created) { panic("created") }
		all.Preloaded = func(hook.Preloaded) { panic("preloaded") }
		all.Claimed = func(hook.Claimed) { panic("claimed") }
		all.Delivered = func(hook.Delivered) { panic("delivered") }
		all.Failed = func(hook.Failed) { panic("failed") }
		all.Rebuilt = func(hook.Rebuilt) { panic("rebuilt") }
		all.LeaderElected = func(hook.LeaderElected) { panic("elected") }
		confirmed := all.Confirmed
		all.Confirmed = func(e hook.Confirmed) { confirmed(e); panic("confirmed") }
		s, stop := handled(t, triggerhook.Options{Hooks: all, Logger: slog.New(slog.NewTextHandler(text, nil))},
			func(_ context.Context, d *triggerhook.Delivery) error {
				if d.Attempt == 1 {
					return errors.New("no luck")
				}
				return nil
			})
		if err := s.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		<-time.After(12 * time.Second)
		synctest.Wait()
		if got := x.taken("confirmed"); got != "confirmed a due 0s attempt 2" {
			t.Errorf("told %q, want that a is confirmed", got)
		}
		stop()
		for _, name := range []string{"Created", "Preloaded", "Claimed", "Delivered", "Failed", "Confirmed", "Rebuilt", "LeaderElected"} {
			if !strings.Contains(text.String(), "hook="+name+" panic="+strings.TrimPrefix(strings.ToLower(name), "leader")) {
				t.Errorf("the log does not name the panic of %s:\n%s", name, text.String())
			}
		}
	})
}

// logText is a log that may be read while it is written.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
