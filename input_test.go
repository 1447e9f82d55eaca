package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/retrypolicy"
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
			"header key":   {&triggerhook.Task{ID: "x", Due: far, Headers: map[string]string{"": "v"}}, "key is empty"},
			"header value": {&triggerhook.Task{ID: "x", Due: far, Headers: map[string]string{"k": "\xff"}}, `value of header "k"`},
			"long headers": {&triggerhook.Task{ID: "x", Due: far, Headers: map[string]string{"k": strings.Repeat("v", 9000)}}, "at most 8192"},
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

// Each option below and above its range, alone, and all together.
func TestBadOptionsAreRefused(t *testing.T) {
	s := embedded(t, 1)
	all := triggerhook.Options{}
	for name, set := range map[string][2]func(*triggerhook.Options){
		"Window":          {func(o *triggerhook.Options) { o.Window = time.Second - 1 }, func(o *triggerhook.Options) { o.Window = 24*time.Hour + 1 }},
		"Lease":           {func(o *triggerhook.Options) { o.Lease = -1 }, func(o *triggerhook.Options) { o.Lease = 10*time.Minute + 1 }},
		"Drain":           {func(o *triggerhook.Options) { o.Drain = -1 }, nil},
		"DeliveryTimeout": {func(o *triggerhook.Options) { o.DeliveryTimeout = -1 }, nil},
		"HotTasks":        {func(o *triggerhook.Options) { o.HotTasks = -1 }, func(o *triggerhook.Options) { o.HotTasks = 1 << 41 }},
		"InlinePayload":   {func(o *triggerhook.Options) { o.InlinePayload = -1 }, func(o *triggerhook.Options) { o.InlinePayload = 1 << 24 }},
		"MaxPayload":      {func(o *triggerhook.Options) { o.MaxPayload = -1 }, func(o *triggerhook.Options) { o.MaxPayload = 1 << 24 }},
		"Queue":           {func(o *triggerhook.Options) { o.Queue = -1 }, func(o *triggerhook.Options) { o.Queue = 1_000_001 }},
		"ClaimAhead":      {func(o *triggerhook.Options) { o.ClaimAhead = 100*time.Millisecond + 1 }, nil},
		"AuditGrace":      {func(o *triggerhook.Options) { o.AuditGrace = -1 }, func(o *triggerhook.Options) { o.AuditGrace = 24*time.Hour + 1 }},
		"MaxAttempts":     {func(o *triggerhook.Options) { o.MaxAttempts = -1 }, func(o *triggerhook.Options) { o.MaxAttempts = 1_000_000_001 }},
		"Retry": {func(o *triggerhook.Options) { o.Retry = retrypolicy.Constant(-1) },
			func(o *triggerhook.Options) { o.Retry = retrypolicy.Func(nil) }},
	} {
		for _, f := range set {
			if f == nil {
				continue
			}
			var o triggerhook.Options
			f(&o)
			_, err := triggerhook.New(s.store, s.set, o)
			if !errors.Is(err, triggerhook.ErrInvalid) || strings.Count(err.Error(), "Options.") != 1 || !strings.Contains(err.Error(), "Options."+name+" is ") {
				t.Errorf("New with %+v: %v, want it to name %s", o, err, name)
			}
		}
		set[0](&all)
	}
	if _, err := triggerhook.New(s.store, s.set, all); strings.Count(err.Error(), "Options.") != 12 {
		t.Errorf("New with twelve bad options: %v", err)
	}
}

func TestNilAndForeignStoresAreRefused(t *testing.T) {
	s := embedded(t, 1)
	var noSQL *durable.MySQL
	var noFile *bolt.Store
	var noRedis *hotset.Redis
	var noSet *local.Set
	for _, c := range []struct {
		store durable.Store
		set   hotset.Set
		says  []string
	}{
		{nil, nil, []string{"store is nil", "set is nil"}}, {noSQL, noRedis, []string{"store is nil", "set is nil"}},
		{noFile, noSet, []string{"store is nil", "set is nil"}}, {s.store, noSet, []string{"set is nil"}}, {nil, s.set, []string{"store is nil"}},
	} {
		_, err := triggerhook.New(c.store, c.set, triggerhook.Options{})
		for _, says := range c.says {
			if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("New(%T, %T): %v, want it to say %q", c.store, c.set, err, says)
			}
		}
	}
	other, err := local.New(local.Options{Namespace: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := triggerhook.New(s.store, other, triggerhook.Options{}); !errors.Is(err, triggerhook.ErrMismatch) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("New with two namespaces: %v, want ErrMismatch", err)
	}
}

func TestBadIDsAndDuesChangeNothing(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "stands", Due: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		before := contents(t, s)
		for _, id := range []string{"", "a\x00", "\xff", " \n", strings.Repeat("x", 129)} {
			_, err := sch.Get(t.Context(), id)
			for verb, err := range map[string]error{
				"Delete": sch.Delete(t.Context(), "stands", id), "Reschedule": sch.Reschedule(t.Context(), id, time.Now()), "Get": err,
			} {
				if !errors.Is(err, triggerhook.ErrInvalid) {
					t.Errorf("%s of %.20q: %v, want ErrInvalid", verb, id, err)
				}
			}
		}
		for _, due := range []time.Time{{}, time.Unix(-1, 0), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
			if err := sch.Reschedule(t.Context(), "stands", due); !errors.Is(err, triggerhook.ErrInvalid) {
				t.Errorf("Reschedule to %s: %v, want ErrInvalid", due, err)
			}
		}
		_, err := sch.Get(t.Context(), "absent")
		for verb, err := range map[string]error{
			"Delete": sch.Delete(t.Context(), "absent"), "Reschedule": sch.Reschedule(t.Context(), "absent", time.Now()), "Get": err,
		} {
			var which *triggerhook.IDError
			if !errors.Is(err, triggerhook.ErrNotFound) || !errors.As(err, &which) || len(which.NotFound) != 1 || which.NotFound[0] != "absent" {
				t.Errorf("%s of an absent task: %v, want ErrNotFound that names it", verb, err)
			}
		}
		if err := sch.Delete(t.Context()); err != nil {
			t.Errorf("Delete of nothing: %v", err)
		}
		if after := contents(t, s); after != before {
			t.Errorf("the stores hold %s, before %s", after, before)
		}
	})
}

func TestASecondConfirmIsErrSettled(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		if err := d.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm: %v", err)
		}
		if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrSettled) {
			t.Errorf("Confirm again: %v, want ErrSettled", err)
		}
		empty(t, s)
	})
}

// The durable store is new, but the hot set has another number of partitions.
func TestPartitionsOfTheHotSetAreCompared(t *testing.T) {
	t.Run("mysql97+redis7", func(t *testing.T) {
		my, cache := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
		s := servers(t, my, cache, 1)
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		until(t, "there is a generation", 10*time.Second, func() bool {
			st, err := s.set.State(t.Context(), 0)
			return err == nil && st.AsOf.Generation != 0
		})
		stop()
		store, err := durable.NewMySQL(my.DB(t, ""), durable.Options{Namespace: s.store.Namespace()})
		if err != nil {
			t.Fatal(err)
		}
		set, err := hotset.NewRedis(s.redis, hotset.Options{Namespace: s.store.Namespace(), Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		other := stores{store: store, set: set}.scheduler(t, triggerhook.Options{})
		if err := other.Run(t.Context()); !errors.Is(err, triggerhook.ErrMismatch) || !strings.Contains(err.Error(), "1 partitions") {
			t.Errorf("Run with 2 partitions on a hot set of 1: %v, want ErrMismatch", err)
		}
	})
}

func TestAPayloadThatTheServerDoesNotTakeIsRefused(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.MySQL, testserver.MySQL56, testserver.MariaDB} {
		t.Run(string(kind)+"+redis7", func(t *testing.T) {
			my := testserver.Own(t, kind, "--max-allowed-packet=64K")
			s := servers(t, my, testserver.Shared(t, testserver.Redis), 1)
			err := s.scheduler(t, triggerhook.Options{MaxPayload: 40_000}).Run(t.Context())
			if !errors.Is(err, triggerhook.ErrRefused) || !strings.Contains(err.Error(), "40000") || !strings.Contains(err.Error(), "max_allowed_packet") {
				t.Errorf("Run with a MaxPayload of 40000 and packets of 64 KiB: %v, want ErrRefused", err)
			}
			sch := s.scheduler(t, triggerhook.Options{MaxPayload: 24_000})
			run(t, sch)
			payload := bytes.Repeat([]byte("'"), 24_000)
			headers := map[string]string{"k": strings.Repeat("'", task.MaxHeaders-8)}
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: strings.Repeat("'", 128), Due: time.Now(), Payload: payload, Headers: headers}); err != nil {
				t.Fatal(err)
			}
			if d := next(t, sch); !bytes.Equal(d.Payload, payload) || !maps.Equal(d.Headers, headers) {
				t.Errorf("a payload of %d bytes came back with %d, and headers of %d with %d", len(payload), len(d.Payload), task.HeadersSize(headers), task.HeadersSize(d.Headers))
			} else if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		})
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
	onAll(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := next(t, sch).Confirm(t.Context()); err != nil { // now it runs
			t.Fatal(err)
		}
		none := func(context.Context, *triggerhook.Delivery) error { return nil }
		for _, want := range []error{triggerhook.ErrRunning, triggerhook.ErrClosed} {
			for verb, err := range map[string]error{"Handle": sch.Handle(t.Context(), 1, none), "Run": sch.Run(t.Context())} {
				if !errors.Is(err, want) {
					t.Errorf("%s beside or after Run: %v, want %v", verb, err, want)
				}
			}
			stop()
		}
		if err := sch.Handle(t.Context(), 0, none); !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("Handle with 0 workers: %v, want ErrInvalid", err)
		}
		if err := sch.Handle(t.Context(), 1, nil); !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("Handle without a handler: %v, want ErrInvalid", err)
		}
		if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now()}); err != nil {
			t.Errorf("Create after Run: %v", err)
		}
	})
}

func TestConsumeWithoutRunWarnsOnceAndWaits(t *testing.T) {
	test := func(t *testing.T, s stores, wait time.Duration) {
		var log bytes.Buffer
		sch := s.scheduler(t, triggerhook.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		if _, err := sch.Consume(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Consume: %v, want the end of its context", err)
		}
		if n := strings.Count(log.String(), "Run was not called"); n != 1 {
			t.Errorf("it warned %d times: %s", n, log.String())
		}
	}
	t.Run("bolt+local", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, embedded(t, 1), time.Minute) })
	})
	t.Run("mysql97+redis7", func(t *testing.T) {
		test(t, servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 1), 6*time.Second)
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
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		second, err := sch.Consume(ctx)
		if err != nil {
			t.Fatalf("no second delivery: %v", err)
		}
		if held := time.Since(at); held < 10*time.Minute || held > 10*time.Minute+2*time.Second || second.Attempt != 2 {
			t.Errorf("delivered again after %s as attempt %d, want after 10m as attempt 2", held, second.Attempt)
		}
		if first.Context().Err() == nil {
			t.Error("the first delivery's context lives on")
		}
		if err := first.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm after the timeout, while the row stands: %v", err)
		}
		if err := second.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
			t.Errorf("Confirm of the second: %v, want ErrGone", err)
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

// A task without an ID is named by its place alone.
func TestCreateNamesNoEmptyID(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	for text, tasks := range map[string][]*triggerhook.Task{
		"create task 0: invalid: due is the zero time":                                                                                {{}},
		"create task 0: invalid: task is nil\ncreate task 1: invalid: due is the zero time":                                           {nil, {}},
		"create task 0: invalid: due is the zero time\ncreate task 1: invalid: due is the zero time\ninvalid: \"a\", 1 without an id": {{}, {ID: "a"}},
	} {
		if err := sch.Create(t.Context(), tasks...); !errors.Is(err, triggerhook.ErrInvalid) || err.Error() != text {
			t.Errorf("Create of %d tasks: %v, want %s", len(tasks), err, text)
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	for state, want := range map[triggerhook.State]string{
		triggerhook.Unknown: "unknown", triggerhook.Scheduled: "scheduled", triggerhook.Preloaded: "preloaded", triggerhook.InFlight: "in flight",
		4: "State(4)", -1: "State(-1)",
	} {
		if got := fmt.Sprint(state); got != want {
			t.Errorf("state %d is called %q, want %q", int(state), got, want)
		}
	}
}
