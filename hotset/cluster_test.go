package hotset_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/hotsettest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

func cluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: testserver.OwnClusterOfSix(t).Addrs()})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// The client is that of the master that Sentinels name.
func TestTheSetWorksThroughSentinel(t *testing.T) {
	t.Parallel()
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testserver.MasterName, SentinelAddrs: testserver.OwnSentinel(t).Addrs()})
	t.Cleanup(func() { rdb.Close() })
	t.Run("redis7+sentinel", func(t *testing.T) {
		hotsettest.Run(t, func(t *testing.T, partitions int) hotset.Set { return open(t, rdb, partitions) })
	})
	s := open(t, rdb, 1)
	if err := s.Check(t.Context(), 0); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// All keys of a partition lie on one node (no CROSSSLOT), and partitions on several.
func TestTheSetWorksOnACluster(t *testing.T) {
	t.Parallel()
	rdb := cluster(t)
	t.Run("redis7+cluster", func(t *testing.T) {
		hotsettest.Run(t, func(t *testing.T, partitions int) hotset.Set { return open(t, rdb, partitions) })
	})
	t.Run("partitions lie on several nodes", func(t *testing.T) {
		const partitions = 16
		s := open(t, rdb, partitions)
		nodes := map[string]bool{}
		for p := range partitions {
			if _, err := s.Horizon(t.Context(), p, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 10}); err != nil {
				t.Fatal(err)
			}
			node, err := rdb.MasterForKey(t.Context(), fmt.Sprintf("{%s:%d}:meta", s.Config().Namespace, p))
			if err != nil {
				t.Fatal(err)
			}
			nodes[node.Options().Addr] = true
		}
		if len(nodes) < 2 {
			t.Errorf("%d partitions lie on %d node", partitions, len(nodes))
		}
	})
	t.Run("each partition may be worked with", func(t *testing.T) {
		s := open(t, rdb, 8)
		for p := range 8 {
			if err := s.Check(t.Context(), p); err != nil {
				t.Errorf("Check of partition %d: %v", p, err)
			}
		}
	})
	t.Run("a client of one server is refused", func(t *testing.T) {
		for _, partitions := range []int{1, 8} { // one may lie on that node
			_ = rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
				s := open(t, client(t, node.Options().Addr), partitions)
				for p := range partitions {
					if err := s.Check(ctx, p); !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), "redis.NewClusterClient") {
						t.Errorf("Check of partition %d of %d: %v, want ErrRefused that names NewClusterClient", p, partitions, err)
					}
				}
				return nil
			})
		}
	})
	t.Run("scripts flushed on each node", func(t *testing.T) {
		s := open(t, rdb, 4)
		for p := range 4 {
			f, err := s.Horizon(t.Context(), p, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			if err := rdb.ScriptFlush(t.Context()).Err(); err != nil { // the client sends it to all
				t.Fatal(err)
			}
			if _, err := s.Add(t.Context(), p, task.AddRequest{AsOf: f.AsOf, Entries: one("a")}); err != nil {
				t.Errorf("Add to partition %d: %v", p, err)
			}
			if b, err := s.Claim(t.Context(), p, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second, AheadLimit: 1}); err != nil || len(b.Claims) != 1 || b.ClockUS != 0 {
				t.Errorf("Claim from partition %d: %d claims, and any node's time, %d, %v; want one claim, and no time", p, len(b.Claims), b.ClockUS, err)
			}
		}
	})
}
