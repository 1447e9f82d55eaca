package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// hungSet never answers an extension of some partitions, as a node of a cluster that
// is cut off.
type hungSet struct {
	hotset.Set
	from int // of that partition and those above
}

func (h hungSet) Extend(ctx context.Context, p int, held task.ExtendRequest) (task.ExtendResult, error) {
	if p >= h.from {
		<-ctx.Done()
		return task.ExtendResult{}, ctx.Err()
	}
	return h.Set.Extend(ctx, p, held)
}

// Partitions whose server hangs cost no other its leases.
func TestHungPartitionsEndNoOthersLeases(t *testing.T) {
	t.Run("bolt+local/p8", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := embedded(t, 8)
			s.set = hungSet{s.set, 1}
			const lease = 3 * time.Second
			sch := s.scheduler(t, triggerhook.Options{Lease: lease})
			stop := run(t, sch)
			due, byPart := time.Now(), map[int]bool{}
			for i := 0; len(byPart) < 8; i++ {
				if id := fmt.Sprint(i); !byPart[task.Partition(id, 8)] {
					byPart[task.Partition(id, 8)] = true
					if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: due}); err != nil {
						t.Fatal(err)
					}
				}
			}
			var held []*triggerhook.Delivery
			for range 8 {
				held = append(held, next(t, sch))
			}
			sleep(t, 4*lease)
			for _, d := range held {
				if p := task.Partition(d.ID, 8); (d.Context().Err() == nil) != (p == 0) {
					t.Errorf("partition %d: the delivery's context: %v", p, context.Cause(d.Context()))
				}
			}
			stop()
		})
	})
}

// stuckSet answers nothing of some partitions while it is told so, until go-redis gives
// up after its own timeouts.
type stuckSet struct {
	hotset.Set
	from  int // of that partition and those above
	stuck *atomic.Bool
}

func (s stuckSet) wait(ctx context.Context, p int) error {
	if !s.stuck.Load() || p < s.from {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(12 * time.Second):
		return fmt.Errorf("i/o timeout: %w", task.ErrUnavailable)
	}
}

// stuckOr asks the set unless p is stuck.
func stuckOr[R any](ctx context.Context, s stuckSet, p int, ask func() (R, error)) (R, error) {
	if err := s.wait(ctx, p); err != nil {
		var none R
		return none, err
	}
	return ask()
}

func (s stuckSet) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return stuckOr(ctx, s, p, func() (task.AsOf, error) { return s.Set.Clock(ctx, p) })
}

func (s stuckSet) State(ctx context.Context, p int) (task.State, error) {
	return stuckOr(ctx, s, p, func() (task.State, error) { return s.Set.State(ctx, p) })
}

func (s stuckSet) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	return stuckOr(ctx, s, p, func() (task.PartitionStatus, error) { return s.Set.Horizon(ctx, p, f) })
}

func (s stuckSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	return stuckOr(ctx, s, p, func() ([]task.AddOutcome, error) { return s.Set.Add(ctx, p, a) })
}

func (s stuckSet) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	return stuckOr(ctx, s, p, func() (task.Batch, error) {
		return s.Set.Claim(ctx, p, req)
	})
}

func (s stuckSet) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	return stuckOr(ctx, s, p, func() (task.ExtendResult, error) { return s.Set.Extend(ctx, p, h) })
}

func (s stuckSet) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return stuckOr(ctx, s, p, func() ([]task.ReleaseOutcome, error) { return s.Set.Release(ctx, p, r) })
}

func (s stuckSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	return stuckOr(ctx, s, p, func() (task.RemoveResult, error) { return s.Set.Remove(ctx, p, token, refs) })
}

func (s stuckSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, s.Remove, p, held)
}

func (s stuckSet) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return stuckOr(ctx, s, p, func() ([]task.ExpiredBatch, error) { return s.Set.Expired(ctx, p, limit, lease) })
}

// A third of a cluster hangs. Tasks of the others come in time, once that is known, are
// created, confirmed and deleted in time, and those of the third come when it answers again.
func TestHungPartitionsHoldUpNoOthers(t *testing.T) {
	const parts, well = 12, 8
	t.Run("bolt+local/p12", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := embedded(t, parts)
			var stuck atomic.Bool
			s.set = stuckSet{s.set, well, &stuck}
			sch := s.scheduler(t, triggerhook.Options{})
			stop := run(t, sch)
			sleep(t, 10*time.Second)
			start := time.Now()
			const n = 120 // a second from one to the next; each tenth is created as it falls due
			var all []*triggerhook.Task
			for i := 0; len(all) < n; i++ {
				if id := fmt.Sprint(i); len(all)%3 == 0 || task.Partition(id, parts) < well {
					all = append(all, &triggerhook.Task{ID: id, Due: start.Add(time.Duration(10+len(all)) * time.Second)})
				}
			}
			for i, x := range all {
				if i%10 != 0 {
					if err := sch.Create(t.Context(), x); err != nil {
						t.Fatal(err)
					}
				}
			}
			stuck.Store(true)
			known := time.Now().Add(10 * time.Second) // how long it may take to find out
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; i < n; i += 10 {
					sleep(t, time.Until(all[i].Due))
					began := time.Now()
					if err := sch.Create(t.Context(), all[i]); err != nil {
						t.Errorf("Create beside partitions that hang: %v", err)
					}
					if took := time.Since(began); took > 300*time.Millisecond {
						t.Errorf("Create took %s", took)
					}
				}
			})
			wg.Go(func() {
				sleep(t, 60*time.Second)
				stuck.Store(false)
			})
			for range n {
				d := next(t, sch)
				bound := 50 * time.Millisecond
				if task.Partition(d.ID, parts) >= well {
					bound = 62 * time.Second
				} else if d.Due.Before(known) {
					bound = 10 * time.Second
				}
				if late := time.Since(d.Due); late > bound {
					t.Errorf("%s of partition %d came %s late, %s after all began to hang", d.ID, task.Partition(d.ID, parts), late, time.Since(known)+10*time.Second)
				}
				began := time.Now()
				if err := d.Confirm(t.Context()); err != nil {
					t.Errorf("Confirm: %v", err)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("Confirm took %s", took)
				}
			}
			wg.Wait()
			stop()
			empty(t, s)
		})
	})
}

// mutedSet answers nothing while it is told so, and counts what reaches it. Finds are slow.
type mutedSet struct {
	hotset.Set
	muted          *atomic.Bool
	states, clocks atomic.Int64
	extended       atomic.Int64
	told, renewed  atomic.Int64 // when a State and an Extend were answered last, ns
}

func (s *mutedSet) silent(ctx context.Context) error {
	if !s.muted.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *mutedSet) State(ctx context.Context, p int) (task.State, error) {
	s.states.Add(1)
	if err := s.silent(ctx); err != nil {
		return task.State{}, err
	}
	s.told.CompareAndSwap(0, time.Now().UnixNano())
	return s.Set.State(ctx, p)
}

func (s *mutedSet) Clock(ctx context.Context, p int) (task.AsOf, error) {
	s.clocks.Add(1)
	if err := s.silent(ctx); err != nil {
		return task.AsOf{}, err
	}
	return s.Set.Clock(ctx, p)
}

func (s *mutedSet) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	select {
	case <-time.After(20 * time.Second): // over a slow link, say
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.silent(ctx); err != nil {
		return nil, err
	}
	return s.Set.Find(ctx, p, refs)
}

func (s *mutedSet) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if err := s.silent(ctx); err != nil {
		return nil, err
	}
	return s.Set.Elect(ctx, holder, term, roles...)
}

func (s *mutedSet) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	if err := s.silent(ctx); err != nil {
		return task.ExtendResult{}, err
	}
	s.extended.Add(1)
	s.renewed.CompareAndSwap(0, time.Now().UnixNano())
	return s.Set.Extend(ctx, p, h)
}

// The first call to a partition that hangs ends once a probe has no answer, and those after
// it at once, though their callers have no deadline; Get, which no other call of a process
// need precede, answers without a state.
func TestACallToAHungPartitionHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 4)
		set := &mutedSet{Set: s.set, muted: new(atomic.Bool)}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		x := &triggerhook.Task{Due: time.Now().Add(time.Hour)}
		if err := sch.Create(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		set.muted.Store(true)
		get := func() time.Duration {
			began := time.Now()
			ctx, cancel := context.WithCancel(t.Context()) // no deadline
			defer time.AfterFunc(time.Minute, cancel).Stop()
			if info, err := sch.Get(ctx, x.ID); err != nil || info.State != triggerhook.Unknown {
				t.Errorf("Get: %+v, %v, want it without a state", info, err)
			}
			return time.Since(began)
		}
		if took := get(); took != time.Second {
			t.Errorf("the first Get took %s, want 500 ms until it is asked whether the partition answers, and as long again", took)
		}
		began := time.Now()
		if _, err := sch.Stats(context.Background()); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Stats: %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("Stats of 4 partitions took %s; the others were probed as soon as one hung", took)
		}
		for range 3 {
			if took := get(); took != 0 {
				t.Errorf("a Get after that took %s", took)
			}
		}
		set.muted.Store(false)
		sleep(t, 3*time.Second)
		if st, err := sch.Stats(context.Background()); err != nil || st.Namespace.Tasks != 1 {
			t.Errorf("Stats once it answers again: %+v, %v", st.Namespace, err)
		}
	})
}

// What is slow and not dead is waited for: its partition answers meanwhile.
func TestASlowCallIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		set := &mutedSet{Set: s.set, muted: new(atomic.Bool)}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		x := &triggerhook.Task{Due: time.Now().Add(time.Hour)}
		if err := sch.Create(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		if info, err := sch.Get(t.Context(), x.ID); err != nil || info.State != triggerhook.Scheduled {
			t.Errorf("Get that takes 20 s: %+v, %v, want it Scheduled", info, err)
		}
		if n := set.states.Load(); n != 1 {
			t.Errorf("it was asked %d times whether the partition answers, want once", n)
		}
	})
}

// Callers that wait for less than patience open the breaker too, and leave nothing behind: no call
// goes to a partition that hangs, except the probe's.
func TestCallersWithShortDeadlinesOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		set := &mutedSet{Set: s.set, muted: new(atomic.Bool)}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		x := &triggerhook.Task{Due: time.Now().Add(time.Hour)}
		if err := sch.Create(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		set.muted.Store(true)
		set.states.Store(0)
		unasked := 0
		for range 300 { // 30 s; no other call of this process is under way
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, _ = sch.Get(ctx, x.ID)
			cancel()
			if time.Since(began) == 0 {
				unasked++
			}
			sleep(t, 100*time.Millisecond-time.Since(began))
		}
		if unasked < 280 {
			t.Errorf("%d of 300 calls ended at once, want all but those until the hang is known", unasked)
		}
		if n := set.states.Load(); n < 5 || n > 25 {
			t.Errorf("it was probed %d times in 30 s, want once in 2 s", n)
		}
		set.muted.Store(false)
		sleep(t, 20*time.Second) // the probe ends
	})
}

// An extension goes out as soon as its partition answers, though it hung for most of a lease.
func TestLeasesAreExtendedAsSoonAsAPartitionAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		set := &mutedSet{Set: s.set, muted: new(atomic.Bool)}
		s.set = set
		const lease = 6 * time.Second
		sch := s.scheduler(t, triggerhook.Options{Lease: lease})
		stop := run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		set.muted.Store(true)
		go func() { _, _ = sch.Stats(context.Background()) }() // finds out
		sleep(t, 4*time.Second)
		set.told.Store(0)
		set.renewed.Store(0)
		set.muted.Store(false)
		sleep(t, 4*time.Second) // the probe that is under way has 2 s
		if told, renewed := set.told.Load(), set.renewed.Load(); told == 0 || renewed != told {
			t.Errorf("the partition answered at %d, and leases were extended at %d, want at the same time", told, renewed)
		}
		sleep(t, 2*lease)
		if err := d.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm: %v", err)
		}
		stop()
	})
}

// A hot set hangs for longer than a lease. What fell due meanwhile, and what was created, is
// delivered within seconds of its end: the probe that is under way has 2 s, and claims and
// adds rest for a second at most.
func TestWhatFallsDueInAHangIsDeliveredSoonAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 4)
		var stuck atomic.Bool
		s.set = stuckSet{s.set, 0, &stuck}
		sch := s.scheduler(t, triggerhook.Options{Lease: 5 * time.Second})
		stop := run(t, sch)
		const preloaded, created, hang = 200, 50, 20 * time.Second
		start := time.Now()
		if err := sch.Create(t.Context(), tasks(preloaded, func(i int) time.Time { return start.Add(time.Duration(i) * hang / preloaded) })...); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var l ledger
		consumed := l.consume(ctx, t, sch, 8)
		sleep(t, time.Second)
		stuck.Store(true)
		for i := range created {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint("new-", i), Due: time.Now()}); err != nil {
				t.Fatalf("Create while the hot set hangs: %v", err)
			}
			sleep(t, hang/created)
		}
		if n := l.len(); n > preloaded/4 {
			t.Errorf("%d tasks were delivered by a hot set that hangs", n)
		}
		stuck.Store(false)
		sleep(t, 4*time.Second)
		if n := l.len(); n != preloaded+created {
			t.Errorf("4 s after the hang %d of %d tasks were delivered", n, preloaded+created)
		}
		for id, times := range l.times {
			if times != 1 {
				t.Errorf("%s was delivered %d times", id, times)
			}
		}
		cancel()
		consumed.Wait()
		stop()
		empty(t, s)
	})
}
