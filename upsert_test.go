package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// upsert is Upsert of one task, which succeeds.
func upsert(t *testing.T, s *triggerhook.Scheduler, on triggerhook.OnConflict, task triggerhook.Task) triggerhook.UpsertOutcome {
	t.Helper()
	done, err := s.Upsert(t.Context(), on, &task)
	if err != nil || len(done) != 1 {
		t.Fatalf("Upsert of %q: %v, %v", task.ID, done, err)
	}
	return done[0]
}

func TestUpsertDoesWhatItsModeSays(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		base := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
		for i, c := range []struct {
			on      triggerhook.OnConflict
			due     time.Duration // of the second call; the first has 0
			want    triggerhook.UpsertOutcome
			payload string
			at      time.Duration
		}{
			{triggerhook.Keep, -time.Minute, triggerhook.Kept, "first", 0},
			{triggerhook.Replace, -time.Minute, triggerhook.Replaced, "second", 0},
			{triggerhook.Earliest, -time.Minute, triggerhook.Replaced, "first", -time.Minute},
			{triggerhook.Earliest, time.Minute, triggerhook.Kept, "first", 0},
			{triggerhook.Debounce, time.Minute, triggerhook.Replaced, "second", time.Minute},
		} {
			first := triggerhook.Task{ID: fmt.Sprint("task-", i), Due: base, Payload: []byte("first"), Headers: map[string]string{"h": "first"}}
			second := triggerhook.Task{ID: first.ID, Due: base.Add(c.due), Payload: []byte("second"), Headers: map[string]string{"h": "second"}}
			if got := upsert(t, sch, c.on, first); got != triggerhook.Created {
				t.Errorf("%d: the first Upsert: %s, want created", i, got)
			}
			if got := upsert(t, sch, c.on, second); got != c.want {
				t.Errorf("%d: the second Upsert: %s, want %s", i, got, c.want)
			}
			info, err := sch.Get(t.Context(), first.ID)
			if err != nil || string(info.Payload) != c.payload || info.Headers["h"] != c.payload || !info.Due.Equal(base.Add(c.at)) || !info.Next.Equal(info.Due) {
				t.Errorf("%d: after both %+v, %v; want the %s payload, due at %s", i, info, err, c.payload, base.Add(c.at))
			}
		}
	})
}

// An Upsert of several tasks answers in their order, and IDs that it makes never conflict.
func TestUpsertAnswersInTheOrderOfItsTasks(t *testing.T) {
	sch := embedded(t, 3).scheduler(t, triggerhook.Options{})
	due := time.Now().Add(time.Hour)
	create(t, sch, &triggerhook.Task{ID: "b", Due: due})
	unnamed := &triggerhook.Task{Due: due}
	done, err := sch.Upsert(t.Context(), triggerhook.Keep, &triggerhook.Task{ID: "c", Due: due}, &triggerhook.Task{ID: "b", Due: due}, unnamed, &triggerhook.Task{ID: "a", Due: due})
	if want := []triggerhook.UpsertOutcome{triggerhook.Created, triggerhook.Kept, triggerhook.Created, triggerhook.Created}; err != nil || !slices.Equal(done, want) || unnamed.ID == "" {
		t.Errorf("Upsert of c, b, one without an ID and a: %v, %v, %q; want %v", done, err, unnamed.ID, want)
	}
	if done, err := sch.Upsert(t.Context(), triggerhook.Keep); err != nil || done != nil {
		t.Errorf("Upsert of nothing: %v, %v", done, err)
	}
	for _, c := range []struct {
		on    triggerhook.OnConflict
		task  *triggerhook.Task
		names string
	}{
		{0, &triggerhook.Task{ID: "x", Due: due}, "OnConflict is 0"},
		{9, &triggerhook.Task{ID: "x", Due: due}, "OnConflict is 9"},
		{triggerhook.Keep, &triggerhook.Task{ID: "x"}, "zero time"},
		{triggerhook.Keep, nil, "nil"},
	} {
		if _, err := sch.Upsert(t.Context(), c.on, c.task); !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("Upsert of a bad call: %v, want ErrInvalid that names %q", err, c.names)
		}
	}
	if got := listed(t, sch, triggerhook.Filter{IDPrefix: "x"}); len(got) > 0 {
		t.Errorf("a refused Upsert has stored %q", got)
	}
}

// What Upsert changes fires as it is now, once, and at its new time, whether it waits in the hot set or not.
func TestWhatUpsertChangesFiresOnceAsItIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sch := embedded(t, 2).scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		defer stop()
		sleep(t, 5*time.Second)
		start := time.Now()
		at := func(d time.Duration) time.Time { return start.Add(d) }
		tasks := func(payload string, due ...time.Duration) (all []*triggerhook.Task) {
			for i, id := range []string{"replaced", "earlier", "later"} {
				all = append(all, &triggerhook.Task{ID: id, Due: at(due[i]), Payload: []byte(payload)})
			}
			return all
		}
		create(t, sch, tasks("old", 20*time.Second, 30*time.Second, 10*time.Second)...)
		fresh := tasks("new", 5*time.Second, 15*time.Second, 40*time.Second)
		for i, on := range []triggerhook.OnConflict{triggerhook.Replace, triggerhook.Earliest, triggerhook.Debounce} {
			for range 3 { // each but the first moves a row that was moved
				upsert(t, sch, on, *fresh[i])
			}
		}
		for _, want := range []string{"earlier old 15s", "replaced new 20s", "later new 40s"} {
			d := next(t, sch)
			if got := fmt.Sprint(d.ID, " ", string(d.Payload), " ", time.Since(start).Round(time.Second)); got != want || d.Attempt != 1 {
				t.Errorf("delivered %s, attempt %d; want %s, attempt 1", got, d.Attempt, want)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if d, err := sch.Consume(ctx); err == nil {
			t.Errorf("%q was delivered once more", d.ID)
		}
	})
}

// A mover that died has left the version before in the hot set, and the row names it. An Upsert removes it before it moves the row on.
func TestUpsertRemovesWhatADeadMoverLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		defer stop()
		sleep(t, 5*time.Second)
		start := time.Now()
		create(t, sch, &triggerhook.Task{ID: "a", Due: start.Add(10 * time.Second)})
		rows, err := s.store.Get(t.Context(), []string{"a"})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		to := rows[0]
		to.Ver, to.NextMS = task.NewVer(), start.Add(time.Hour).UnixMilli()
		if moved, err := s.store.Move(t.Context(), rows[0].Ref, to); !moved || err != nil {
			t.Fatal(moved, err)
		}
		if got := upsert(t, sch, triggerhook.Debounce, triggerhook.Task{ID: "a", Due: start.Add(40 * time.Second)}); got != triggerhook.Replaced {
			t.Errorf("Upsert of a task that was moved: %s", got)
		}
		d := next(t, sch)
		if since := time.Since(start).Round(time.Second); since != 40*time.Second {
			t.Errorf("delivered after %s, want 40s", since)
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A task that a worker has in hand is offered again as it is now, and the old delivery cannot confirm it.
func TestUpsertTakesATaskFromItsWorker(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		create(t, sch, &triggerhook.Task{ID: "a", Due: time.Now(), Payload: []byte("old")})
		old := next(t, sch)
		if got := upsert(t, sch, triggerhook.Keep, triggerhook.Task{ID: "a", Due: time.Now()}); got != triggerhook.Kept {
			t.Errorf("Keep of a task in hand: %s", got)
		}
		if got := upsert(t, sch, triggerhook.Replace, triggerhook.Task{ID: "a", Due: time.Now(), Payload: []byte("old")}); got != triggerhook.Kept {
			t.Errorf("Replace by the same of a task in hand, as by a producer that repeats its call: %s", got)
		}
		if got := upsert(t, sch, triggerhook.Replace, triggerhook.Task{ID: "a", Due: time.Now(), Payload: []byte("new")}); got != triggerhook.Replaced {
			t.Errorf("Replace of a task in hand: %s", got)
		}
		if err := old.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
			t.Errorf("Confirm of the old delivery: %v, want ErrGone", err)
		}
		d := next(t, sch)
		if string(d.Payload) != "new" {
			t.Errorf("delivered with %q, want the new payload", d.Payload)
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Producers that repeat their calls at once make one task of each ID, and each call learns what it did.
func TestProducersThatRepeatMakeOneTask(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		n := map[triggerhook.UpsertOutcome]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for i := range 5 {
					done, err := sch.Upsert(t.Context(), triggerhook.Keep, &triggerhook.Task{ID: fmt.Sprint(i), Due: time.Now().Add(time.Hour)})
					mu.Lock()
					if err != nil {
						t.Errorf("Upsert: %v", err)
					} else {
						n[done[0]]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n[triggerhook.Created] != 5 || n[triggerhook.Kept] != 25 || len(listed(t, sch, triggerhook.Filter{})) != 5 {
			t.Errorf("%v, want 5 created and 25 kept", n)
		}
	})
}

// Callers that debounce one task at once take turns: one creates it, each of the others replaces it, and one version fires.
func TestDebouncersThatMeetTakeTurns(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		n := map[triggerhook.UpsertOutcome]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		due := time.Now().Add(1500 * time.Millisecond)
		for range 4 {
			wg.Go(func() {
				for range 5 {
					done, err := sch.Upsert(t.Context(), triggerhook.Debounce, &triggerhook.Task{ID: "a", Due: due})
					mu.Lock()
					if err != nil {
						t.Errorf("Upsert: %v", err)
					} else {
						n[done[0]]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n[triggerhook.Created] != 1 || n[triggerhook.Replaced] != 19 {
			t.Errorf("%v, want one created and 19 replaced", n)
		}
		run(t, sch)
		d := next(t, sch)
		if err := d.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm of the last version: %v", err)
		}
		if got := listed(t, sch, triggerhook.Filter{}); len(got) > 0 {
			t.Errorf("%q are left", got)
		}
	})
}

// vagueUpserts stores what an Upsert gives, and then does not say so.
type vagueUpserts struct {
	durable.Store
	vague bool
}

func (v *vagueUpserts) Upsert(ctx context.Context, rows []task.Row, on task.OnConflict) ([]task.Upserted, error) {
	done, err := v.Store.Upsert(ctx, rows, on)
	if !v.vague || err != nil {
		return done, err
	}
	var was []task.Ref
	for _, d := range done {
		was = append(was, d.Was)
	}
	return nil, &task.UnsureError{Refs: was, Err: fmt.Errorf("upsert: %w", task.ErrUnavailable)}
}

// An Upsert whose outcome is unknown is repeated: there is one task, and it fires once, as the last call has it.
func TestAnUpsertOfUnknownOutcomeMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		vague := &vagueUpserts{Store: s.store}
		s.store = vague
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		defer stop()
		sleep(t, 5*time.Second)
		start := time.Now()
		create(t, sch, &triggerhook.Task{ID: "a", Due: start.Add(10 * time.Second)})
		vague.vague = true
		later := triggerhook.Task{ID: "a", Due: start.Add(30 * time.Second)}
		if done, err := sch.Upsert(t.Context(), triggerhook.Debounce, &later); !errors.Is(err, triggerhook.ErrUnavailable) || done != nil {
			t.Errorf("Upsert of unknown outcome: %v, %v", done, err)
		}
		vague.vague = false
		if got := upsert(t, sch, triggerhook.Keep, later); got != triggerhook.Kept {
			t.Errorf("the repeated Upsert: %s, want kept", got)
		}
		d := next(t, sch)
		if since := time.Since(start).Round(time.Second); since != 30*time.Second {
			t.Errorf("delivered after %s, want 30s", since)
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
