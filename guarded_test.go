package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// deafSet does not hear removals until it is told to.
type deafSet struct {
	hotset.Set
	mu   sync.Mutex
	deaf bool
}

func (d *deafSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) ([]task.Answer, error) {
	d.mu.Lock()
	deaf := d.deaf
	d.mu.Unlock()
	if deaf {
		return nil, fmt.Errorf("remove: %w", task.ErrUnavailable)
	}
	return d.Set.Remove(ctx, p, token, refs)
}

func (d *deafSet) hear(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = !yes
}

// A Delete whose removals do not reach the hot set says so, and they are tried
// again until they do, in each partition.
func TestRemovalsAreTriedAgainUntilTheyLand(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		deaf := &deafSet{Set: s.set}
		s.set = deaf
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		far := time.Now().Add(20 * time.Second)
		until(t, "there is a generation", 10*time.Second, func() bool {
			st, err := s.set.State(t.Context(), 0)
			return err == nil && st.AsOf.Generation != 0
		})
		all := tasks(40, func(int) time.Time { return far })
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, x := range all {
			ids = append(ids, x.ID)
		}
		deaf.hear(false)
		if err := sch.Delete(t.Context(), ids...); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete with a deaf hot set: %v, want ErrUnavailable", err)
		}
		deaf.hear(true)
		empty(t, s)
		stop()
	})
}
