package hotset_test

import (
	"fmt"
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
	o := &redis.ClusterOptions{}
	for _, s := range testserver.OwnCluster(t) {
		o.Addrs = append(o.Addrs, s.Addr)
	}
	rdb := redis.NewClusterClient(o)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// All keys of a partition lie on one node (no CROSSSLOT), and partitions on several.
func TestSetOnACluster(t *testing.T) {
	rdb := cluster(t)
	t.Run("redis7", func(t *testing.T) {
		hotsettest.Run(t, func(t *testing.T, partitions int) hotset.Set { return open(t, rdb, partitions) })
	})
	t.Run("partitions lie on several nodes", func(t *testing.T) {
		const partitions = 16
		s := open(t, rdb, partitions)
		nodes := map[string]bool{}
		for p := range partitions {
			if _, err := s.Horizon(t.Context(), p, task.Feed{Epoch: 1, HorizonMS: 1 << 42, Limit: 10}); err != nil {
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
	t.Run("scripts flushed on each node", func(t *testing.T) {
		s := open(t, rdb, 4)
		for p := range 4 {
			f, err := s.Horizon(t.Context(), p, task.Feed{Epoch: 1, HorizonMS: 1 << 42, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			if err := rdb.ScriptFlush(t.Context()).Err(); err != nil { // the client sends it to all
				t.Fatal(err)
			}
			if _, err := s.Add(t.Context(), p, task.Adding{AsOf: f.AsOf, Entries: one("a")}); err != nil {
				t.Errorf("Add to partition %d: %v", p, err)
			}
			if b, err := s.Claim(t.Context(), p, "t", 1, time.Second); err != nil || len(b.Claims) != 1 {
				t.Errorf("Claim from partition %d: %d claims, %v", p, len(b.Claims), err)
			}
		}
	})
}
