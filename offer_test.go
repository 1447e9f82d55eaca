package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// slowSet takes 20 ms for each removal and as long as it is told for each add, and
// notes what came in one call.
type slowSet struct {
	hotset.Set
	adding  time.Duration
	mu      sync.Mutex
	adds    []task.AddRequest
	removes [][]task.Ref
}

func (s *slowSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	<-time.After(s.adding)
	s.mu.Lock()
	s.adds = append(s.adds, a)
	s.mu.Unlock()
	return s.Set.Add(ctx, p, a)
}

func (s *slowSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	<-time.After(20 * time.Millisecond)
	s.mu.Lock()
	s.removes = append(s.removes, refs)
	s.mu.Unlock()
	return s.Set.Remove(ctx, p, token, refs)
}

func (s *slowSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, s.Remove, p, held)
}

// slowly runs a test in a bubble, with a scheduler that runs on a slowSet.
func slowly(t *testing.T, test func(t *testing.T, s *triggerhook.Scheduler, slow *slowSet)) {
	t.Run("bolt+local", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := embedded(t, 1)
			slow := &slowSet{Set: s.set, adding: 20 * time.Millisecond}
			s.set = slow
			sch := s.scheduler(t, triggerhook.Options{})
			stop := run(t, sch)
			sleep(t, 10*time.Second) // the generation has begun, and loaded
			test(t, sch, slow)
			stop()
		})
	})
}

// AsOfBeforeRead: what is added in one call was inserted after the moment that it names.
func TestCreatesThatShareACallAreAddedAsOfTheOldest(t *testing.T) {
	slowly(t, func(t *testing.T, s *triggerhook.Scheduler, slow *slowSet) {
		began := map[string]int64{} // us
		var wg sync.WaitGroup
		for i := range 12 {
			x := &triggerhook.Task{ID: fmt.Sprint("t", i), Due: time.Now().Add(time.Minute)}
			began[x.ID] = time.Now().UnixMicro()
			wg.Go(func() {
				if err := s.Create(t.Context(), x); err != nil {
					t.Error(err)
				}
			})
			sleep(t, time.Millisecond)
		}
		wg.Wait()
		most, n := 0, 0
		for _, a := range slow.adds {
			most, n = max(most, len(a.Entries)), n+len(a.Entries)
			for _, e := range a.Entries {
				if a.AsOf.TimeUS > began[e.ID] {
					t.Errorf("%s was added as of %d, and its Create began at %d", e.ID, a.AsOf.TimeUS, began[e.ID])
				}
			}
		}
		if n != 12 || most < 2 {
			t.Errorf("%d tasks were added in %d calls, at most %d in one; want 12, and some that share a call", n, len(slow.adds), most)
		}
	})
}

// A Create does not wait for a hot set that hangs, and its caller goes on: what is
// added later is what was created.
func TestAPayloadIsItsCallersAgainAfterCreate(t *testing.T) {
	slowly(t, func(t *testing.T, s *triggerhook.Scheduler, slow *slowSet) {
		slow.adding = time.Second
		buf := []byte("right")
		for i := range 4 {
			x := &triggerhook.Task{ID: fmt.Sprint("t", i), Due: time.Now().Add(30 * time.Second), Payload: buf}
			if err := s.Create(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		}
		copy(buf, "wrong")
		sleep(t, 20*time.Second)
		if len(slow.adds) == 0 {
			t.Fatal("nothing was added")
		}
		for _, a := range slow.adds {
			for _, e := range a.Entries {
				if string(e.Payload) != "right" {
					t.Errorf("%s was added with payload %q, want %q", e.ID, e.Payload, "right")
				}
			}
		}
	})
}

func TestDeletesThatShareACallLearnTheirOwn(t *testing.T) {
	slowly(t, func(t *testing.T, s *triggerhook.Scheduler, slow *slowSet) {
		all := tasks(12, func(int) time.Time { return time.Now().Add(30 * time.Second) })
		for i := range 4 {
			all[3*i].Due = time.Now() // these are claimed
		}
		if err := s.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			next(t, s)
		}
		errs := make([]error, len(all))
		var wg sync.WaitGroup
		for i, x := range all {
			wg.Go(func() { errs[i] = s.Delete(t.Context(), x.ID) })
		}
		wg.Wait()
		for i, err := range errs {
			if claimed := i%3 == 0; claimed && !errors.Is(err, triggerhook.ErrClaimed) || !claimed && err != nil {
				t.Errorf("Delete of task %d: %v, and that it was claimed is %t", i, err, claimed)
			}
		}
		if most := slices.MaxFunc(slow.removes, func(a, b []task.Ref) int { return len(a) - len(b) }); len(most) < 2 {
			t.Errorf("%d calls, and none was shared", len(slow.removes))
		}
	})
}

// A removal goes on when its caller has left.
func TestARemovalGoesOnWithoutItsCaller(t *testing.T) {
	slowly(t, func(t *testing.T, s *triggerhook.Scheduler, slow *slowSet) {
		x := &triggerhook.Task{Due: time.Now().Add(20 * time.Second)}
		if err := s.Create(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := s.Delete(ctx, x.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete: %v, want DeadlineExceeded", err)
		}
		sleep(t, time.Second)
		if st, err := slow.State(t.Context(), 0); err != nil || st.Waiting != 0 {
			t.Errorf("State: %+v, %v, want none waiting", st, err)
		}
	})
}

// Confirms of one group whose tasks came in several batches leave the hot set in one call, which is retried until it succeeds.
func TestConfirmsOfManyBatchesAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		deaf := &deafSet{Set: s.set}
		s.set = deaf
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 10*time.Second)
		const n = 12
		for i := range n {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint("t", i), Due: time.Now().Add(time.Second + time.Duration(i)*2*time.Millisecond)}); err != nil {
				t.Fatal(err)
			}
		}
		sleep(t, 500*time.Millisecond)
		deaf.hear(false)
		for range n {
			d, err := sch.Consume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d.ConfirmAsync()
		}
		claimed := func() int64 {
			st, err := s.set.State(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			return st.Claimed
		}
		sleep(t, 100*time.Millisecond)
		if got := claimed(); got != n {
			t.Errorf("%d members are left while no removal is heard, want %d", got, n)
		}
		deaf.hear(true)
		sleep(t, time.Second)
		if got := claimed(); got != 0 {
			t.Errorf("%d members are left a second after removals are heard again, want none", got)
		}
		stop()
	})
}
