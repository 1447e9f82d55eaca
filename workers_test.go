package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// workersOf waits until there are n workers, as any process sees them, and each is as it should be.
func workersOf(t *testing.T, s *triggerhook.Scheduler, n int, ok func([]triggerhook.WorkerInfo) bool) (all []triggerhook.WorkerInfo) {
	t.Helper()
	until(t, fmt.Sprint(n, " workers"), time.Minute, func() bool {
		var err error
		if all, err = s.Workers(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(all) == n && ok(all)
	})
	return all
}

// Each worker that runs is seen by others, with its roles and what it holds, and one that ends in good order is gone at once.
func TestWorkersAreSeen(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, st stores) {
		t.Parallel()
		viewer := st.scheduler(t, triggerhook.Options{})
		any := func([]triggerhook.WorkerInfo) bool { return true }
		workersOf(t, viewer, 0, any)
		first, second := st.scheduler(t, triggerhook.Options{Worker: "first"}), st.scheduler(t, triggerhook.Options{Worker: "second"})
		begun := time.Now().Truncate(time.Millisecond)
		endFirst, endSecond := run(t, first), run(t, second)
		if err := viewer.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		d, err := first.Consume(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all := workersOf(t, viewer, 2, func(all []triggerhook.WorkerInfo) bool { return named(all, "first").Stats.InHand == 1 })
		checkTwo(t, named(all, "first"), named(all, "second"), begun)
		if err := d.Confirm(t.Context()); err != nil {
			t.Fatal(err)
		}
		endFirst()
		if all := workersOf(t, viewer, 1, any); all[0].Name != "second" {
			t.Errorf("%q is left, want the second", all[0].Name)
		}
		workersOf(t, viewer, 1, func(all []triggerhook.WorkerInfo) bool { return len(all[0].Roles) == 3 })
		endSecond()
		workersOf(t, viewer, 0, any)
	})
}

func checkTwo(t *testing.T, one, two triggerhook.WorkerInfo, begun time.Time) {
	t.Helper()
	if one.ID == two.ID || one.ID == "" || one.Stats.Delivered != 1 || two.Stats.Delivered != 0 || two.Stats.InHand != 0 {
		t.Errorf("the workers are %+v and %+v", one, two)
	}
	if roles := len(one.Roles) + len(two.Roles); roles != 3 {
		t.Errorf("%q has the roles %q, and %q has %q; want that each role is held once", one.Name, one.Roles, two.Name, two.Roles)
	}
	for _, w := range []triggerhook.WorkerInfo{one, two} {
		if w.Started.Before(begun) || w.Started.After(time.Now()) || time.Since(w.Seen).Abs() > time.Minute {
			t.Errorf("%s began at %s, and was seen at %s", w.Name, w.Started, w.Seen)
		}
	}
}

func named(all []triggerhook.WorkerInfo, name string) (w triggerhook.WorkerInfo) {
	for _, w := range all {
		if w.Name == name {
			return w
		}
	}
	return w
}

// reporting is the set of a process that may die, and counts what it tells of itself.
type reporting struct {
	elections
	told atomic.Int64
}

func (r *reporting) Heartbeat(ctx context.Context, worker string, report []byte) error {
	r.told.Add(1)
	return r.Set.Heartbeat(ctx, worker, report)
}

// Workers tell of themselves while a process asks, and not otherwise; the first who asks waits until all have told. One that dies is seen no more.
func TestWorkersTellOfThemselvesWhileAskedFor(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		viewer := s.scheduler(t, triggerhook.Options{})
		all := []*reporting{{elections: elections{Set: s.set}}, {elections: elections{Set: s.set}}}
		for _, set := range all {
			s.set = set
			run(t, s.scheduler(t, triggerhook.Options{}))
		}
		count := func() (n int64) { return all[0].told.Swap(0) + all[1].told.Swap(0) }
		see := func(want int) {
			t.Helper()
			if got, err := viewer.Workers(t.Context()); err != nil || len(got) != want {
				t.Errorf("there are %d workers, %v; want %d", len(got), err, want)
			}
		}
		<-time.After(time.Minute)
		if n := count(); n != 0 {
			t.Errorf("while no process asked, workers told %d times", n)
		}
		for range 2 {
			see(2) // also if none has asked for long
			<-time.After(13 * time.Second)
			began := time.Now()
			if see(2); time.Since(began) > 0 {
				t.Errorf("who asked 13 s before waited for %s", time.Since(began))
			}
			<-time.After(20 * time.Second)
			count()
			<-time.After(time.Minute)
			if n := count(); n != 0 {
				t.Errorf("a while after a process asked, workers told %d times", n)
			}
		}
		see(2)
		all[0].die()
		<-time.After(2 * time.Second)
		see(2) // it told less than 5 s ago
		<-time.After(4 * time.Second)
		see(1)
	})
}

// What cannot be read of one worker hides no other.
func TestAStrangeWorkerHidesNoOther(t *testing.T) {
	t.Parallel()
	st := embedded(t, 1)
	s := st.scheduler(t, triggerhook.Options{})
	for worker, report := range map[string]string{"strange": "{", "newer": `{"Name":"n","StartedMS":5,"Stats":{"Delivered":7,"Later":{}},"More":[1]}`} {
		if err := st.set.Heartbeat(t.Context(), worker, []byte(report)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.set.Elect(t.Context(), "strange", time.Minute, task.Auditor); err != nil {
		t.Fatal(err)
	}
	all, err := s.Workers(t.Context())
	if err == nil || !strings.Contains(err.Error(), `worker "strange"`) || len(all) != 2 {
		t.Fatalf("Workers answered %+v, %v", all, err)
	}
	for _, w := range all {
		switch {
		case w.ID == "newer" && w.Name == "n" && w.Started.UnixMilli() == 5 && w.Stats.Delivered == 7:
		case w.ID == "strange" && w.Name == "" && w.Started.IsZero() && len(w.Roles) == 1 && w.Roles[0] == "auditor":
		default:
			t.Errorf("a worker is %+v", w)
		}
	}
}

func TestBadNamesOfWorkersAreRefused(t *testing.T) {
	both := embedded(t, 1)
	for name, want := range map[string]string{strings.Repeat("x", 65): "has 65 bytes", "\xff": `"\xff"`} {
		if _, err := triggerhook.New(both.store, both.set, triggerhook.Options{Worker: name}); !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want ErrInvalid with %q", name, err, want)
		}
	}
	if _, err := triggerhook.New(both.store, both.set, triggerhook.Options{Worker: string(bytes.Repeat([]byte("x"), 64))}); err != nil {
		t.Error(err)
	}
}
