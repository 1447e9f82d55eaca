package hotset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestAGateLetsNoMoreIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 3
		g := newGate(places)
		var in, most atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				_, err := await(t.Context(), g, i%2 == 0, func() (int, error) {
					n := in.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					<-time.After(time.Millisecond) // all that may come in have come in
					in.Add(-1)
					return 0, nil
				})
				if err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if most.Load() != places {
			t.Errorf("%d calls were under way at once, want %d", most.Load(), places)
		}
	})
}

// The calls of a keeper go before those of creators that came first, in their order.
func TestAGateLetsTheUrgentGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if err := g.enter(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		var got []string
		var all sync.WaitGroup
		for i, name := range []string{"create 1", "create 2", "extend 1", "create 3", "extend 2"} {
			all.Go(func() {
				if err := g.enter(t.Context(), i == 2 || i == 4); err != nil {
					t.Error(err)
				}
				got = append(got, name) // in the one place
				g.leave()
			})
			synctest.Wait()
		}
		g.leave()
		all.Wait()
		if want := []string{"extend 1", "extend 2", "create 1", "create 2", "create 3"}; !slices.Equal(got, want) {
			t.Errorf("they went in as %q, want %q", got, want)
		}
	})
}

// Calls that leave while they wait, and calls that their callers leave, give back each place.
func TestAGateLosesNoPlace(t *testing.T) {
	g := newGate(2)
	var all sync.WaitGroup
	for i := range 2000 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			_, err := await(ctx, g, i%3 == 0, func() (int, error) { return 0, nil })
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for range 2 { // also those that go on without their callers
		if err := g.enter(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free != 0 || len(g.urgent)+len(g.others) > 0 {
		t.Errorf("%d places are free and %d calls wait, want none", g.free, len(g.urgent)+len(g.others))
	}
}

// A turn that comes to a call just as it leaves goes to the next one.
func TestATurnThatIsNotTakenIsPassedOn(t *testing.T) {
	g := newGate(1)
	_ = g.enter(t.Context(), true)
	left := make(chan struct{})
	g.others = append(g.others, left)
	g.leave() // left has its turn, and its call is about to go
	g.forgo(left)
	if g.free != 1 {
		t.Errorf("%d places are free, want 1", g.free)
	}
}

// As many calls are under way as the client has connections to one server, or the hard
// limit allows; a cluster has several nodes.
func TestPlacesFollowThePool(t *testing.T) {
	type wrapped struct{ redis.UniversalClient }
	one := func(size, hard int) redis.UniversalClient {
		return redis.NewClient(&redis.Options{PoolSize: size, MaxActiveConns: hard})
	}
	many := func(size, hard int) redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{PoolSize: size, MaxActiveConns: hard})
	}
	for i, c := range []struct {
		rdb  redis.UniversalClient
		want int
	}{{one(7, 0), 7}, {one(10, 2), 2}, {one(2, 10), 2}, {wrapped{one(10, 2)}, 2}, {many(5, 0), 15}, {many(5, 2), 2}, {wrapped{many(5, 0)}, 15}, {struct{ redis.UniversalClient }{}, 0}} {
		if got := connections(c.rdb); got != c.want {
			t.Errorf("%s: client %d has %d places, want %d", fmt.Sprintf("%T", c.rdb), i, got, c.want)
		}
		if c.want > 0 {
			_ = c.rdb.Close()
		}
	}
}
