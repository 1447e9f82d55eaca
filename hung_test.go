package triggerhook_test

import (
	"context"
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

func (h hungSet) Extend(ctx context.Context, p int, held task.Held) (task.Extended, error) {
	if p >= h.from {
		<-ctx.Done()
		return task.Extended{}, ctx.Err()
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

func (s stuckSet) Horizon(ctx context.Context, p int, f task.Feed) (task.Feeding, error) {
	return stuckOr(ctx, s, p, func() (task.Feeding, error) { return s.Set.Horizon(ctx, p, f) })
}

func (s stuckSet) Add(ctx context.Context, p int, a task.Adding) ([]task.Answer, error) {
	return stuckOr(ctx, s, p, func() ([]task.Answer, error) { return s.Set.Add(ctx, p, a) })
}

func (s stuckSet) Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error) {
	return stuckOr(ctx, s, p, func() (task.Batch, error) { return s.Set.Claim(ctx, p, token, limit, lease) })
}

func (s stuckSet) Extend(ctx context.Context, p int, h task.Held) (task.Extended, error) {
	return stuckOr(ctx, s, p, func() (task.Extended, error) { return s.Set.Extend(ctx, p, h) })
}

func (s stuckSet) Release(ctx context.Context, p int, r task.Release) ([]task.Answer, error) {
	return stuckOr(ctx, s, p, func() ([]task.Answer, error) { return s.Set.Release(ctx, p, r) })
}

func (s stuckSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.Removed, error) {
	return stuckOr(ctx, s, p, func() (task.Removed, error) { return s.Set.Remove(ctx, p, token, refs) })
}

func (s stuckSet) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.Reaped, error) {
	return stuckOr(ctx, s, p, func() ([]task.Reaped, error) { return s.Set.Expired(ctx, p, limit, lease) })
}

// A third of a cluster hangs. Tasks of the others come in time, once that is known, are
// created, confirmed and deleted in time, and those of the third come when it answers again.
func TestHungPartitionsHoldUpNoOthers(t *testing.T) {
	const parts, well = 24, 16
	t.Run("bolt+local/p24", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := embedded(t, parts)
			var stuck atomic.Bool
			s.set = stuckSet{s.set, well, &stuck}
			sch := s.scheduler(t, triggerhook.Options{})
			stop := run(t, sch)
			sleep(t, 10*time.Second)
			start := time.Now()
			const n = 240 // a second from one to the next; each tenth is created as it falls due
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
				sleep(t, 100*time.Second)
				stuck.Store(false)
			})
			for range n {
				d := next(t, sch)
				bound := 50 * time.Millisecond
				if task.Partition(d.ID, parts) >= well {
					bound = 102 * time.Second
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
