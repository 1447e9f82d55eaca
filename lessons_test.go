package triggerhook_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// What went wrong in other schedulers, as far as no other test covers it: see the
// table in docs/reliability.md.

// Preloading and claiming leave the row as it is: what dies with the hot set or
// with a worker was never taken from the durable store.
func TestPreloadAndClaimLeaveTheRowAlone(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{Lease: time.Second})
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Second), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		row := func() task.Row {
			t.Helper()
			rows, err := s.store.Get(t.Context(), []string{"a"})
			if err != nil || len(rows) != 1 {
				t.Fatalf("Get: %v, %v", rows, err)
			}
			return rows[0]
		}
		before := row()
		run(t, sch)
		until(t, "it is preloaded", 10*time.Second, func() bool {
			info, err := sch.Get(t.Context(), "a")
			return err == nil && info.State == triggerhook.Preloaded
		})
		if got := row(); !reflect.DeepEqual(got, before) {
			t.Errorf("preloaded, the row is %+v, was %+v", got, before)
		}
		d := next(t, sch)
		if got := row(); !reflect.DeepEqual(got, before) {
			t.Errorf("in hand, the row is %+v, was %+v", got, before)
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A task waits longer than a lease, at first and after a rollback, and is still
// offered once: a lease begins at the claim.
func TestADelayLongerThanTheLeaseFiresOnce(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{Lease: time.Second})
		run(t, sch)
		const delay = 1500 * time.Millisecond
		due := time.Now().Add(delay)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: due}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		if time.Now().Before(due) || d.Attempt != 1 {
			t.Errorf("delivered %s before it is due, as attempt %d", time.Until(due), d.Attempt)
		}
		back := time.Now()
		if err := d.Rollback(t.Context(), delay); err != nil {
			t.Fatal(err)
		}
		d = next(t, sch)
		if time.Since(back) < delay || d.Attempt != 2 {
			t.Errorf("delivered %s after its rollback, as attempt %d", time.Since(back), d.Attempt)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond) // a lease and a half in hand
		defer cancel()
		if d, err := sch.Consume(ctx); err == nil {
			t.Errorf("delivered again, as attempt %d", d.Attempt)
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// frozenSet is that of a process whose leases cannot be extended.
type frozenSet struct{ hotset.Set }

func (frozenSet) Extend(context.Context, int, task.ExtendRequest) (task.ExtendResult, error) {
	return task.ExtendResult{}, task.ErrUnavailable
}

// A worker that lost its lease and the one that replaced it both finish the task:
// the later one is told that it was gone.
func TestASlowWorkerAndItsReplacementDoNotBothFinish(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		t.Parallel()
		o := triggerhook.Options{Lease: time.Second}
		replacement := s.scheduler(t, o)
		s.set = frozenSet{s.set}
		slow := s.scheduler(t, o)
		run(t, slow)
		if err := slow.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		first := next(t, slow)
		run(t, replacement)
		second := next(t, replacement)
		until(t, "the first one's context ends", 10*time.Second, func() bool { return first.Context().Err() != nil }) // by a timer of its own
		if second.Attempt != 2 {
			t.Errorf("the second one is attempt %d", second.Attempt)
		}
		if err := second.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm of the second: %v", err)
		}
		if err := first.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
			t.Errorf("Confirm of the first, too late: %v, want ErrGone", err)
		}
		if n, _, err := s.store.Count(t.Context(), 10); n != 0 || err != nil {
			t.Errorf("%d rows are left, %v", n, err)
		}
	})
}

// The slow worker's rollback, too late, takes nothing away from its replacement.
func TestARollbackThatIsTooLateChangesNothing(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		t.Parallel()
		o := triggerhook.Options{Lease: time.Second}
		replacement := s.scheduler(t, o)
		s.set = frozenSet{s.set}
		slow := s.scheduler(t, o)
		run(t, slow)
		if err := slow.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		first := next(t, slow)
		run(t, replacement)
		second := next(t, replacement)
		_ = first.Rollback(t.Context(), 0) // what it answers is told elsewhere
		info, err := replacement.Get(t.Context(), "a")
		if err != nil || info.State != triggerhook.InFlight || info.Attempt != 2 {
			t.Errorf("after it the task is %+v, %v, want in flight", info, err)
		}
		if err := second.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm of the second: %v", err)
		}
	})
}

// A task that never comes to an end with any worker is counted up each time, so
// that a handler can give it up.
func TestLeasesThatRunOutAreCounted(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		t.Parallel()
		s.set = frozenSet{s.set}
		sch := s.scheduler(t, triggerhook.Options{Lease: 3 * time.Second}) // a claim is handed out before it is over, also on a busy machine
		run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "poison", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		var all []*triggerhook.Delivery
		for want := 1; want <= 3; want++ {
			d := next(t, sch)
			if d.Attempt != want {
				t.Errorf("delivery %d is attempt %d", want, d.Attempt)
			}
			all = append(all, d)
		}
		if err := all[2].Confirm(t.Context()); err != nil {
			t.Error(err)
		}
		for _, d := range all[:2] { // else the drain waits for them
			if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
				t.Errorf("Confirm of attempt %d: %v, want ErrGone", d.Attempt, err)
			}
		}
	})
}

// A task's id is taken as long as its row stands, and no longer.
func TestAFinishedTasksIDIsFreeAgain(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		for i := range 3 {
			now := &triggerhook.Task{ID: "a", Due: time.Now()}
			if err := sch.Create(t.Context(), now); err != nil {
				t.Fatalf("Create %d: %v", i, err)
			}
			d := next(t, sch)
			if err := sch.Create(t.Context(), now); !errors.Is(err, triggerhook.ErrExists) {
				t.Errorf("Create while it is in hand: %v, want ErrExists", err)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Fatal(err)
			}
			later := &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)}
			if err := sch.Create(t.Context(), later); err != nil {
				t.Fatalf("Create after its Confirm: %v", err)
			}
			if err := sch.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A task that fails again and again comes again after up to 1 s, 2 s, 4 s, and at last an hour.
func TestTheDefaultRetryDoublesUpToAnHour(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		const tries = 15
		sch := s.scheduler(t, triggerhook.Options{Logger: slog.New(slog.DiscardHandler)})
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var at []time.Time
		if err := sch.Handle(ctx, 1, func(context.Context, *triggerhook.Delivery) error {
			if at = append(at, time.Now()); len(at) == tries {
				stop()
			}
			return errors.New("not yet")
		}); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < tries; i++ {
			most, got := time.Hour, at[i].Sub(at[i-1])
			if i < 13 {
				most = time.Second << (i - 1)
			}
			if got <= 0 || got > most+time.Second {
				t.Errorf("attempt %d came %s after the one before, want at most %s", i+1, got, most)
			}
		}
		if all := at[tries-1].Sub(at[0]); all < 5*time.Minute { // 3 h on average
			t.Errorf("%d attempts came within %s, want delays that grow", tries, all)
		}
	})
}
