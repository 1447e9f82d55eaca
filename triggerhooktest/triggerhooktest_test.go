package triggerhooktest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/triggerhooktest"
)

// recorded returns a Scheduler whose handler notes what is delivered, and when, as seen from its begin.
func recorded(t testing.TB, o triggerhook.Options, then func(*triggerhooktest.Scheduler, *triggerhook.Delivery) error) (*triggerhooktest.Scheduler, *[]string) {
	s, lines := triggerhooktest.New(t, o), &[]string{}
	start := s.Now()
	s.Handle(func(_ context.Context, d *triggerhook.Delivery) error {
		*lines = append(*lines, fmt.Sprintf("%s/%d at %s", d.ID, d.Attempt, s.Now().Sub(start)))
		if then == nil {
			return nil
		}
		return then(s, d)
	})
	return s, lines
}

func create(t testing.TB, s *triggerhooktest.Scheduler, in map[string]time.Duration) {
	t.Helper()
	for id, after := range in {
		if err := s.Create(t.Context(), &triggerhook.Task{ID: id, Due: s.Now().Add(after)}); err != nil {
			t.Fatal(err)
		}
	}
}

func want(t testing.TB, got *[]string, lines ...string) {
	t.Helper()
	if !slices.Equal(*got, lines) {
		t.Errorf("delivered\n\t%s\nwant\n\t%s", strings.Join(*got, "\n\t"), strings.Join(lines, "\n\t"))
	}
	*got = nil
}

// both runs a test on the clock of its own, and in a bubble.
func both(t *testing.T, test func(t *testing.T)) {
	t.Run("own clock", test)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, test) })
}

// What falls due in the span is delivered at its time, in order and not early, also what a handler creates meanwhile, and
// what is due beyond any window.
func TestAdvanceDeliversInOrderAndNotEarly(t *testing.T) {
	both(t, func(t *testing.T) {
		s, got := recorded(t, triggerhook.Options{}, func(s *triggerhooktest.Scheduler, d *triggerhook.Delivery) error {
			if d.ID == "a" {
				create(t, s, map[string]time.Duration{"a's": time.Second, "at once": 0})
			}
			return nil
		})
		create(t, s, map[string]time.Duration{"c": 30 * 24 * time.Hour, "b": time.Minute, "a": 10 * time.Second, "now": 0})
		want(t, got)
		s.Advance(0)
		want(t, got, "now/1 at 0s")
		s.Advance(10*time.Second - time.Millisecond)
		want(t, got)
		s.Advance(time.Millisecond)
		want(t, got, "a/1 at 10s", "at once/1 at 10s")
		s.Advance(50 * time.Second)
		want(t, got, "a's/1 at 11s", "b/1 at 1m0s")
		s.Advance(30*24*time.Hour - time.Minute - time.Millisecond)
		want(t, got)
		s.Advance(time.Millisecond)
		want(t, got, "c/1 at 720h0m0s")
		create(t, s, map[string]time.Duration{"far": 40 * 24 * time.Hour})
		s.Advance(80 * 24 * time.Hour)
		want(t, got, "far/1 at 1680h0m0s")
	})
}

// The delay after a failure counts in the test's time, also one that reaches beyond the window, and so does a Reschedule.
func TestDelaysCountInTheTestsTime(t *testing.T) {
	both(t, func(t *testing.T) {
		o := triggerhook.Options{Retry: retrypolicy.List{10 * time.Second, 48 * time.Hour}}
		s, got := recorded(t, o, func(_ *triggerhooktest.Scheduler, d *triggerhook.Delivery) error {
			if d.Attempt < 3 {
				return errors.New("no luck")
			}
			return nil
		})
		create(t, s, map[string]time.Duration{"a": 0, "moved": time.Hour})
		s.Advance(10*time.Second - time.Millisecond)
		want(t, got, "a/1 at 0s")
		s.Advance(time.Millisecond)
		want(t, got, "a/2 at 10s")
		if err := s.Reschedule(t.Context(), "moved", s.Now().Add(100*time.Hour)); err != nil {
			t.Fatal(err)
		}
		s.Advance(48*time.Hour - time.Millisecond)
		want(t, got)
		s.Advance(time.Millisecond)
		want(t, got, "a/3 at 48h0m10s")
		s.RequireNotCreated(t, "a")
		s.RequireCreated(t, "moved")
	})
}

// WaitFor moves the clock as far as it must, and no further.
func TestWaitForMovesTheClockAsFarAsItMust(t *testing.T) {
	confirmed := 0
	o := triggerhook.Options{Retry: retrypolicy.Constant(time.Minute), Hooks: hook.Hooks{Confirmed: func(e hook.Confirmed) { confirmed += len(e.Tasks) }}}
	s, got := recorded(t, o, func(_ *triggerhooktest.Scheduler, d *triggerhook.Delivery) error {
		if d.Attempt == 1 {
			return errors.New("no luck")
		}
		return nil
	})
	create(t, s, map[string]time.Duration{"a": time.Hour, "later": 2 * time.Hour})
	s.WaitFor(t, "a", triggerhooktest.Failed)
	want(t, got, "a/1 at 1h0m0s")
	s.WaitFor(t, "a", triggerhooktest.Delivered)
	want(t, got)
	s.WaitFor(t, "a", triggerhooktest.Confirmed)
	want(t, got, "a/2 at 1h1m0s")
	if confirmed != 1 {
		t.Errorf("the caller's own hook was told of %d confirms, want 1", confirmed)
	}
	s.RequireCreated(t, "later")
}

// In a bubble what other goroutines do at a moment is done before the tasks of that moment are delivered.
func TestABubblesTimersGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, got := recorded(t, triggerhook.Options{}, nil)
		if !s.Now().Equal(time.Now()) {
			t.Errorf("Now is %s, and the bubble's time %s", s.Now(), time.Now())
		}
		create(t, s, map[string]time.Duration{"a": time.Hour})
		go func() {
			<-time.After(time.Hour)
			*got = append(*got, "timer")
		}()
		s.Advance(2 * time.Hour)
		want(t, got, "timer", "a/1 at 1h0m0s")
	})
}

// The Scheduler is a real one: Middleware wraps the handler, it cannot run twice, and a handler that ends its goroutine
// has failed.
func TestItIsARealScheduler(t *testing.T) {
	wrapped := 0
	o := triggerhook.Options{Middleware: []triggerhook.Middleware{func(next triggerhook.Handler) triggerhook.Handler {
		return func(ctx context.Context, d *triggerhook.Delivery) error {
			wrapped++
			return next(ctx, d)
		}
	}}}
	s, _ := recorded(t, o, func(*triggerhooktest.Scheduler, *triggerhook.Delivery) error {
		runtime.Goexit()
		return nil
	})
	create(t, s, map[string]time.Duration{"a": 0})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Advance(0)
		t.Error("Advance returned after its goroutine had ended")
	}()
	<-ended
	if i := s.RequireCreated(t, "a"); i.Attempt != 2 || wrapped != 1 {
		t.Errorf("attempt %d after %d calls of the middleware, want 2 after 1", i.Attempt, wrapped)
	}
	if err := s.Run(t.Context()); !errors.Is(err, triggerhook.ErrRunning) {
		t.Errorf("Run: %v, want ErrRunning", err)
	}
}

// LeaderElected is told once of each role: the scheduler holds them all from its beginning.
func TestEachRoleIsTakenOnce(t *testing.T) {
	var roles []string
	s, _ := recorded(t, triggerhook.Options{Hooks: hook.Hooks{LeaderElected: func(e hook.LeaderElected) { roles = append(roles, e.Role) }}},
		func(*triggerhooktest.Scheduler, *triggerhook.Delivery) error { return nil })
	for range 3 {
		s.Advance(time.Hour)
	}
	if !slices.Equal(roles, []string{"feeder", "reaper", "auditor"}) {
		t.Errorf("told of %q, want each role once", roles)
	}
}

// failing is a TB that remembers how it was failed.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// failure runs test until it fails its TB, and returns with what.
func failure(t *testing.T, test func(testing.TB)) string {
	f, ended := &failing{TB: t}, make(chan struct{})
	go func() {
		defer close(ended)
		test(f)
	}()
	<-ended
	return f.text
}

// What fails a user's test says what is wrong, and names what is there.
func TestFailuresNameWhatIsThere(t *testing.T) {
	s, _ := recorded(t, triggerhook.Options{}, nil)
	due := s.Now().Add(time.Hour)
	if err := s.Create(t.Context(), &triggerhook.Task{ID: "a", Due: due, Payload: []byte("tea"), Headers: map[string]string{"to": "ann"}}); err != nil {
		t.Fatal(err)
	}
	create(t, s, map[string]time.Duration{"done": 0})
	s.Advance(0)
	s.RequireCreated(t, "a", triggerhooktest.DueAt(due), triggerhooktest.Payload([]byte("tea")), triggerhooktest.Header("to", "ann"))
	for name, c := range map[string]struct {
		test func(testing.TB)
		want []string
	}{
		"not created": {func(t testing.TB) { s.RequireCreated(t, "b") }, []string{`no task "b"`, `"a" due at`, `"done" Confirmed at`}},
		"due":         {func(t testing.TB) { s.RequireCreated(t, "a", triggerhooktest.DueAt(due.Add(time.Second))) }, []string{`task "a": it is due at`, "want"}},
		"payload":     {func(t testing.TB) { s.RequireCreated(t, "a", triggerhooktest.Payload([]byte("no"))) }, []string{`its payload is "tea", want "no"`}},
		"header":      {func(t testing.TB) { s.RequireCreated(t, "a", triggerhooktest.Header("to", "bob")) }, []string{`its header "to" is "ann" (there: true), want "bob"`}},
		"created":     {func(t testing.TB) { s.RequireNotCreated(t, "b", "a") }, []string{`task "a" exists, due at`}},
	} {
		if got := failure(t, c.test); !containsAll(got, c.want) {
			t.Errorf("%s: the test failed with %q, want a text with %q", name, got, c.want)
		}
	}
}

// What makes no sense fails the test: it says what.
func TestMisuseFailsTheTest(t *testing.T) {
	for name, c := range map[string]struct {
		handler func(*triggerhooktest.Scheduler, *triggerhook.Delivery) error
		test    func(*triggerhooktest.Scheduler, testing.TB)
		want    []string
	}{
		"back in time": {nil, func(s *triggerhooktest.Scheduler, _ testing.TB) { s.Advance(-1) }, []string{"Advance(-1ns)", "does not go back"}},
		"in vain":      {nil, func(s *triggerhooktest.Scheduler, t testing.TB) { s.WaitFor(t, "b", triggerhooktest.Confirmed) }, []string{`WaitFor("b", Confirmed)`, `"a" Confirmed at`}},
		"nested": {func(s *triggerhooktest.Scheduler, _ *triggerhook.Delivery) error { s.Advance(0); return nil },
			func(s *triggerhooktest.Scheduler, _ testing.TB) { s.Advance(0) }, []string{"Advance was called by a Handler"}},
		"for ever": {func(_ *triggerhooktest.Scheduler, d *triggerhook.Delivery) error { return d.Rollback(d.Context(), 0) },
			func(s *triggerhooktest.Scheduler, _ testing.TB) { s.Advance(0) }, []string{"more than 10000 deliveries at", `"a" Delivered at`}},
		"nil handler": {nil, func(s *triggerhooktest.Scheduler, _ testing.TB) { s.Handle(nil) }, []string{"the Handler is nil"}},
		"bad options": {nil, func(_ *triggerhooktest.Scheduler, t testing.TB) {
			triggerhooktest.New(t, triggerhook.Options{Lease: -1})
		}, []string{"Options.Lease"}},
		"no handler": {nil, func(_ *triggerhooktest.Scheduler, t testing.TB) {
			triggerhooktest.New(t, triggerhook.Options{}).WaitFor(t, "a", triggerhooktest.Failed)
		}, []string{"there is no Handler"}},
	} {
		got := failure(t, func(f testing.TB) {
			s, _ := recorded(f, triggerhook.Options{}, c.handler)
			create(f, s, map[string]time.Duration{"a": 0})
			c.test(s, f)
		})
		if !containsAll(got, c.want) {
			t.Errorf("%s: the test failed with %q, want a text with %q", name, got, c.want)
		}
	}
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}

// Dead letters died by the clock that Advance moves, and RequeueDead goes by it.
func TestDeadLettersAreRequeuedByTheClockOfTheTest(t *testing.T) {
	s := triggerhooktest.New(t, triggerhook.Options{MaxAttempts: 1})
	printed, paper := 0, false
	s.Handle(func(context.Context, *triggerhook.Delivery) error {
		if !paper {
			return errors.New("no paper")
		}
		printed++
		return nil
	})
	if err := s.Create(t.Context(), &triggerhook.Task{ID: "a", Due: s.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s.Advance(48 * time.Hour)
	paper = true
	if n, err := s.RequeueDead(t.Context(), triggerhook.DeadFilter{}, triggerhook.RequeueOptions{}); n != 1 || err != nil {
		t.Errorf("RequeueDead: %d, %v; want 1", n, err)
	}
	s.Advance(time.Second)
	if printed != 1 {
		t.Errorf("printed %d times, want once", printed)
	}
}
