package triggerhook_test

import (
	"context"
	"fmt"
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
