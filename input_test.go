package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// contents of both stores, to be compared before and after.
func contents(t *testing.T, s stores) string {
	t.Helper()
	rows, err := s.store.Scan(t.Context(), task.Cursor{}, task.MaxDue+1, 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	var members int64
	for p := range s.set.Config().Partitions {
		st, err := s.set.State(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		members += st.Waiting + st.Claimed
	}
	return fmt.Sprint(rows, members)
}

func TestBadTasksAreRefusedAndNothingIsStored(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{MaxPayload: 100})
		run(t, sch)
		far := time.Now().Add(time.Hour)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "stands", Due: far}); err != nil {
			t.Fatal(err)
		}
		before := contents(t, s)
		ok := func() *triggerhook.Task { return &triggerhook.Task{ID: "fine", Due: far} }
		for name, c := range map[string]struct {
			task *triggerhook.Task
			says string
		}{
			"zero due":     {&triggerhook.Task{ID: "x"}, "zero time"},
			"before 1970":  {&triggerhook.Task{ID: "x", Due: time.Unix(-1, 999_999_999)}, "before 1970"},
			"beyond 9999":  {&triggerhook.Task{ID: "x", Due: time.Date(9999, 12, 31, 23, 59, 59, 999_000_001, time.UTC)}, "beyond year 9999"},
			"long id":      {&triggerhook.Task{ID: strings.Repeat("x", 129), Due: far}, "129 bytes"},
			"not UTF-8":    {&triggerhook.Task{ID: "a\xff", Due: far}, "UTF-8"},
			"NUL":          {&triggerhook.Task{ID: "a\x00b", Due: far}, "NUL"},
			"white space":  {&triggerhook.Task{ID: " \t\u00a0", Due: far}, "white space"},
			"long payload": {&triggerhook.Task{ID: "x", Due: far, Payload: make([]byte, 101)}, "101 bytes"},
			"twice":        {ok(), "twice"},
			"nil":          {nil, "nil"},
		} {
			err := sch.Create(t.Context(), ok(), c.task)
			if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want ErrInvalid that says %q", name, err, c.says)
			}
		}
		if err := sch.Create(t.Context(), ok(), &triggerhook.Task{ID: "stands", Due: far}); !errors.Is(err, triggerhook.ErrExists) {
			t.Errorf("an id that exists: %v, want ErrExists", err)
		}
		if err := sch.Create(t.Context()); err != nil {
			t.Errorf("no tasks: %v", err)
		}
		if after := contents(t, s); after != before {
			t.Errorf("the stores hold %s, before %s", after, before)
		}
		up := &triggerhook.Task{ID: "up", Due: far.Truncate(time.Millisecond).Add(time.Nanosecond).In(time.FixedZone("x", 3600))}
		if err := sch.Create(t.Context(), up); err != nil || !up.Due.Equal(far.Truncate(time.Millisecond).Add(time.Millisecond)) || up.Due.Location() != time.UTC {
			t.Errorf("a due of a nanosecond past %s became %s, %v", far.Truncate(time.Millisecond), up.Due, err)
		}
	})
}

func TestBadOptionsAreRefusedTogether(t *testing.T) {
	s := embedded(t, 1)
	bad := triggerhook.Options{Window: time.Millisecond, Lease: -1, Drain: -1, DeliveryTimeout: -1, HotTasks: -1, InlinePayload: -1,
		MaxPayload: 1 << 24, Queue: -1, AuditGrace: -1}
	_, err := triggerhook.New(s.store, s.set, bad)
	for _, name := range []string{"Window", "Lease", "Drain", "DeliveryTimeout", "HotTasks", "InlinePayload", "MaxPayload", "Queue", "AuditGrace"} {
		if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "Options."+name+" ") {
			t.Errorf("New: %v, want it to name %s", err, name)
		}
	}
	if _, err := triggerhook.New(nil, nil, triggerhook.Options{}); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("New(nil, nil): %v", err)
	}
	other, _ := local.New(local.Options{Namespace: "other"})
	if _, err := triggerhook.New(s.store, other, triggerhook.Options{}); !errors.Is(err, triggerhook.ErrMismatch) {
		t.Errorf("New with two namespaces: %v, want ErrMismatch", err)
	}
}

func TestRunSaysWhatWaitingCannotMend(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		sch, err := triggerhook.New(s.store, s.set, triggerhook.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := sch.Run(t.Context()); !errors.Is(err, triggerhook.ErrNotMigrated) {
			t.Errorf("Run before Migrate: %v, want ErrNotMigrated", err)
		}
		if err := s.store.Migrate(t.Context(), s.set.Config().Partitions+1); err != nil {
			t.Fatal(err)
		}
		if err := sch.Migrate(t.Context()); !errors.Is(err, triggerhook.ErrMismatch) {
			t.Errorf("Migrate with other partitions: %v, want ErrMismatch", err)
		}
		if err := sch.Run(t.Context()); !errors.Is(err, triggerhook.ErrMismatch) {
			t.Errorf("Run with other partitions: %v, want ErrMismatch", err)
		}
	})
}

func TestRunRunsOnce(t *testing.T) {
	s := embedded(t, 1)
	sch := s.scheduler(t, triggerhook.Options{})
	stop := run(t, sch)
	if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := next(t, sch).Confirm(t.Context()); err != nil { // now it runs
		t.Fatal(err)
	}
	for range 2 { // running, then closed
		err := sch.Handle(t.Context(), 1, func(context.Context, *triggerhook.Delivery) error { return nil })
		if !errors.Is(err, triggerhook.ErrRunning) && !errors.Is(err, triggerhook.ErrClosed) {
			t.Errorf("Handle beside or after Run: %v", err)
		}
		stop()
	}
	if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now()}); err != nil {
		t.Errorf("Create after Run: %v", err)
	}
}

func TestConsumeWithoutRunWarnsOnceAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sch := embedded(t, 1).scheduler(t, triggerhook.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := sch.Consume(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Consume: %v, want the end of its context", err)
		}
		if n := strings.Count(log.String(), "Run was not called"); n != 1 {
			t.Errorf("it warned %d times: %s", n, log.String())
		}
	})
}

// In a bubble time is exact: a task fires in the very millisecond that it is due.
func TestATaskFiresInTheMillisecondThatItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		for _, after := range []time.Duration{time.Millisecond, time.Second, 59 * time.Second, 20 * time.Minute} {
			due := time.Now().Add(after)
			if err := sch.Create(t.Context(), &triggerhook.Task{Due: due}); err != nil {
				t.Fatal(err)
			}
			d, err := sch.Consume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if late := time.Since(due); late < 0 || late > time.Millisecond {
				t.Errorf("due in %s it fired %s late", after, late)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		}
		stop()
	})
}

// A consumer that holds its task for minutes keeps its lease, until DeliveryTimeout.
func TestALongDeliveryIsNotRedeliveredUntilItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sch := embedded(t, 1).scheduler(t, triggerhook.Options{DeliveryTimeout: 10 * time.Minute})
		stop := run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		first, err := sch.Consume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		second, err := sch.Consume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if held := time.Since(at); held < 10*time.Minute || held > 10*time.Minute+2*time.Second || second.Attempt != 2 {
			t.Errorf("delivered again after %s as attempt %d, want after 10m as attempt 2", held, second.Attempt)
		}
		if first.Context().Err() == nil {
			t.Error("the first delivery's context lives on")
		}
		if err := first.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrSettled) {
			t.Errorf("Confirm after the timeout: %v, want ErrSettled", err)
		}
		if err := second.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// What waits in the queue of a process that does not take it goes back.
func TestASlowProcessDoesNotHoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		slow, fast := s.scheduler(t, triggerhook.Options{}), s.scheduler(t, triggerhook.Options{})
		stopSlow := run(t, slow)
		if err := slow.Create(t.Context(), tasks(500, func(i int) time.Time { return time.Now().Add(time.Duration(i) * 10 * time.Millisecond) })...); err != nil {
			t.Fatal(err)
		}
		for range 100 { // it is quick at first, so it claims ahead; then it stops
			d, err := slow.Consume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stopFast := run(t, fast)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var l ledger
		l.consume(ctx, t, fast, 4).Wait()
		if l.len() != 400 || l.worst > 1500*time.Millisecond {
			t.Errorf("the fast process got %d tasks, at worst %s late; want 400 within 1.5 s", l.len(), l.worst)
		}
		stopSlow()
		stopFast()
	})
}

func TestNothingIsLeftRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	stop := run(t, sch)
	if err := sch.Create(t.Context(), tasks(50, func(int) time.Time { return time.Now() })...); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		next(t, sch).ConfirmAsync()
	}
	stop()
}
