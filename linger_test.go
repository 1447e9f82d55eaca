package triggerhook_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// farAway is a hot set that says that it is not in this process. It notes the calls that add, which take a millisecond, and
// refuses or panics as it is told.
type farAway struct {
	hotset.Set
	mu     sync.Mutex
	adds   []task.AddRequest
	taking time.Duration
	refuse func() error
}

func (f *farAway) Config() hotset.Config {
	c := f.Set.Config()
	c.InProcess = false
	return c
}

func (f *farAway) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	f.mu.Lock()
	taking, refuse := f.taking, f.refuse
	f.mu.Unlock()
	<-time.After(taking)
	f.mu.Lock()
	f.adds = append(f.adds, a)
	f.mu.Unlock()
	if refuse != nil {
		if err := refuse(); err != nil {
			return nil, err
		}
	}
	return f.Set.Add(ctx, p, a)
}

// set tells how long calls take from now on, and how they fail.
func (f *farAway) set(taking time.Duration, refuse func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taking, f.refuse = taking, refuse
}

// calls returns how many calls have ended, and the entries of all of them in order.
func (f *farAway) calls() (n int, entries []task.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.adds {
		entries = append(entries, a.Entries...)
	}
	return len(f.adds), entries
}

// lingering runs a test in a bubble, with a Scheduler that runs unless the test stops it.
func lingering(t *testing.T, test func(t *testing.T, s stores, sch *triggerhook.Scheduler, far *farAway, stop func())) {
	t.Run("bolt+local", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := embedded(t, 1)
			far := &farAway{Set: s.set, taking: time.Millisecond}
			s.set = far
			sch := s.scheduler(t, triggerhook.Options{})
			stop := run(t, sch)
			defer stop()
			sleep(t, 10*time.Second) // the generation has begun, and loaded
			test(t, s, sch, far, stop)
		})
	})
}

// stream creates n tasks one a call, a millisecond apart, and returns how long its calls took.
func stream(t *testing.T, sch *triggerhook.Scheduler, prefix string, n int, due func() time.Time) (took time.Duration) {
	t.Helper()
	for i := range n {
		began := time.Now()
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint(prefix, i), Due: due()}); err != nil {
			t.Fatal(err)
		}
		took += time.Since(began)
		sleep(t, time.Millisecond)
	}
	return took
}

func in30s() time.Time { return time.Now().Add(30 * time.Second) }

func TestAddsThatNothingWaitsForShareACall(t *testing.T) {
	lingering(t, func(t *testing.T, _ stores, sch *triggerhook.Scheduler, far *farAway, _ func()) {
		took := stream(t, sch, "t", 100, in30s)
		sleep(t, 110*time.Millisecond)
		calls, entries := far.calls()
		if len(entries) != 100 || calls > 10 {
			t.Errorf("%d tasks were added in %d calls, want 100 in at most 10", len(entries), calls)
		}
		if took > 0 {
			t.Errorf("the calls of Create took %s, want that they wait for no add", took)
		}
		for _, a := range far.adds {
			for _, e := range a.Entries {
				created, _ := sch.Get(t.Context(), e.ID)
				if a.AsOf.TimeUS > created.Created.UnixMicro()+999 { // AsOfBeforeRead
					t.Errorf("%s was added as of %d us, and created at %s", e.ID, a.AsOf.TimeUS, created.Created)
				}
			}
		}
	})
}

// L1 of internal/preload/linger.go.
func TestWhatIsDueSoonDoesNotLinger(t *testing.T) {
	lingering(t, func(t *testing.T, _ stores, sch *triggerhook.Scheduler, far *farAway, _ func()) {
		for _, d := range []time.Duration{-time.Hour, 0, 100 * time.Millisecond, 350 * time.Millisecond} {
			stream(t, sch, fmt.Sprint("far", d), 5, in30s)
			id := fmt.Sprint("soon", d)
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: time.Now().Add(d)}); err != nil {
				t.Fatal(err)
			}
			if _, entries := far.calls(); entries[len(entries)-1].ID != id {
				t.Errorf("due in %s: the last that was added is %s, want %s before Create returned", d, entries[len(entries)-1].ID, id)
			}
		}
	})
}

// The same where the clock of the hot set is ahead of this process's: it decides when a task is due.
func TestTheHotSetsClockSaysWhatIsDueSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ahead = 20 * time.Second
		s := embedded(t, 1)
		set, err := local.New(local.Options{Now: func() time.Time { return time.Now().Add(ahead).Truncate(time.Millisecond) }})
		if err != nil {
			t.Fatal(err)
		}
		far := &farAway{Set: set, taking: time.Millisecond}
		s.set = far
		sch := s.scheduler(t, triggerhook.Options{})
		defer run(t, sch)()
		sleep(t, 10*time.Second)
		stream(t, sch, "far", 5, func() time.Time { return time.Now().Add(ahead + 30*time.Second) })
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "soon", Due: time.Now().Add(ahead + 100*time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
		if _, entries := far.calls(); entries[len(entries)-1].ID != "soon" {
			t.Errorf("the last that was added is %s, want the one that is soon due before Create returned", entries[len(entries)-1].ID)
		}
	})
}

// L2 and L3: what fails while it lingers is retried, and Flush waits for all that was created before it.
func TestFlushWaitsForWhatLingers(t *testing.T) {
	failures := map[string]func() error{
		"nothing": func() error { return nil },
		"an error": func() error {
			return fmt.Errorf("add: %w: for a test", task.ErrUnavailable)
		},
		"a panic": func() error { panic("for a test") },
	}
	for name, failure := range failures {
		lingering(t, func(t *testing.T, s stores, sch *triggerhook.Scheduler, far *farAway, _ func()) {
			calls := 0
			far.set(time.Millisecond, func() error {
				if calls++; calls != 2 { // the first does not linger; the second ends after Flush has begun
					return nil
				}
				return failure()
			})
			var ids []string
			for i := range 10 {
				ids = append(ids, fmt.Sprint("t", i))
			}
			stream(t, sch, "t", 10, in30s)
			if err := sch.Flush(t.Context()); err != nil {
				t.Fatalf("after %s: Flush: %v", name, err)
			}
			if at := where(t, s, ids...); slices.ContainsFunc(at, func(o task.FindOutcome) bool { return o != task.FindWaiting }) {
				t.Errorf("after %s the hot set knows of %v, want that all wait", name, at)
			}
		})
	}
}

// At the end of Run nothing lingers, and nothing lingers in a process without Run.
func TestNothingLingersWithoutRun(t *testing.T) {
	lingering(t, func(t *testing.T, _ stores, sch *triggerhook.Scheduler, far *farAway, stop func()) {
		stream(t, sch, "t", 10, in30s)
		stop()
		if _, entries := far.calls(); len(entries) != 10 {
			t.Errorf("%d tasks are added when Run returns, want 10", len(entries))
		}
		calls, _ := far.calls()
		stream(t, sch, "later", 5, in30s)
		if n, entries := far.calls(); n != calls+5 || len(entries) != 15 {
			t.Errorf("after Run %d calls added %d tasks, want 5 and 5", n-calls, len(entries)-10)
		}
	})
}

// L4: a hot set that is slower than its callers makes them wait.
func TestOnlySoManyLinger(t *testing.T) {
	lingering(t, func(t *testing.T, _ stores, sch *triggerhook.Scheduler, far *farAway, _ func()) {
		far.set(90*time.Millisecond, nil)
		var all []time.Duration
		for i := range 14 {
			tasks := tasks(1000, func(int) time.Time { return in30s() })
			for j, x := range tasks {
				x.ID = fmt.Sprintf("t%02d-%04d", i, j)
			}
			began := time.Now()
			if err := sch.Create(t.Context(), tasks...); err != nil {
				t.Fatal(err)
			}
			all = append(all, time.Since(began))
		}
		waited := slices.IndexFunc(all[1:], func(d time.Duration) bool { return d > 0 }) + 1
		if waited < 9 || waited > 12 {
			t.Errorf("Creates of 1000 tasks took %v: the first that waits is %d, want one after 10,000 tasks linger", all, waited)
		}
		if err := sch.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, entries := far.calls(); len(entries) < 14_000 {
			t.Errorf("%d tasks are added, want 14000", len(entries))
		}
	})
}
