package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// topology says which servers a run has, and what goes with them. Which faults a
// topology has, each kind says of itself (kind.on).
type topology struct {
	// bring starts the servers, and notes in the stage how they are reached: the DSN of
	// MySQL, which it returns, and redisAt. Faults find the servers in fields of the stage
	// of their own; tearDown closes them.
	bring func(ctx context.Context, st *stage) (dsn string, err error)
	// bound is how late a task may be once the last fault is over.
	bound time.Duration
	// direct: workers reach Redis without a proxy, for their client learns the addresses
	// of its servers from the servers. Faults of the network then are between workers
	// and MySQL only.
	direct bool
}

// The topologies, by name.
const single = "single" // one MySQL and one Redis

var topologies = map[string]topology{
	single: {bring: bringSingle, bound: bound},
	// A failover's own time lies within its fault, which lasts until a server takes writes
	// again. What follows is what follows the loss of a single Redis.
	"sentinel": {bring: bringSentinel, bound: bound, direct: true},
	"cluster":  {bring: bringCluster, bound: bound, direct: true},
	"group":    {bring: bringGroup, bound: groupBound},
}

// everywhere are all topologies: for faults that need no certain servers.
var everywhere = []string{single, "sentinel", "cluster", "group"}

// has reports whether kind k is one of that topology's. One that names no topology needs a
// single Redis or a single MySQL.
func (k kind) has(topology string) bool {
	return slices.Contains(k.on, topology) || len(k.on) == 0 && topology == single
}

// topology is the run's.
func (c config) topology() topology { return topologies[c.topologyName] }

// checkTopology refuses a name that there is not, and addresses for a topology that
// brings its own servers.
func (c config) checkTopology() error {
	if _, known := topologies[c.topologyName]; !known {
		return fmt.Errorf("no topology is called %q; there are: %s", c.topologyName, strings.Join(slices.Sorted(maps.Keys(topologies)), ", "))
	}
	if c.mysql != "" && c.topologyName != single {
		return fmt.Errorf("--topology %s brings servers of its own, so it goes without --mysql and --redis", c.topologyName)
	}
	return nil
}

// bringSingle brings one server of each, or takes those that were named.
func bringSingle(ctx context.Context, st *stage) (dsn string, err error) {
	if st.config.mysql != "" {
		st.redisAt.Addr = st.config.redis
		return st.config.mysql, st.bringReplica(ctx)
	}
	if err := st.bringMySQL(ctx); err != nil {
		return "", err
	}
	if err := st.bringRedis(ctx); err != nil {
		return "", err
	}
	return st.mysqlServer.DSN(""), st.bringReplica(ctx)
}

// bringSentinel brings one MySQL, and a Redis with two replicas and three Sentinels.
func bringSentinel(ctx context.Context, st *stage) (dsn string, err error) {
	if err := st.bringMySQL(ctx); err != nil {
		return "", err
	}
	if st.sentinel, err = testserver.StartSentinel(ctx); err != nil {
		return "", err
	}
	st.redisAt.Sentinels = st.sentinel.Addrs()
	return st.mysqlServer.DSN(""), nil
}

// bringCluster brings one MySQL, and a Redis Cluster of six.
func bringCluster(ctx context.Context, st *stage) (dsn string, err error) {
	if err := st.bringMySQL(ctx); err != nil {
		return "", err
	}
	if st.cluster, err = testserver.StartCluster(ctx); err != nil {
		return "", err
	}
	st.redisAt.Nodes = st.cluster.Addrs()
	return st.mysqlServer.DSN(""), nil
}

// bringRedis brings one Redis.
func (st *stage) bringRedis(ctx context.Context) (err error) {
	if st.redisServer, err = testserver.Start(ctx, testserver.Redis); err == nil {
		st.redisAt.Addr = st.redisServer.Addr
	}
	return err
}

// bringMySQL brings one MySQL.
func (st *stage) bringMySQL(ctx context.Context) (err error) {
	st.mysqlServer, err = testserver.Start(ctx, testserver.MySQL)
	return err
}

// bringReplica brings a second Redis, if a fault needs it.
func (st *stage) bringReplica(ctx context.Context) (err error) {
	if slices.Contains(st.faults, "promote") || slices.Contains(st.faults, "tworedis") {
		st.replica, err = testserver.Start(ctx, testserver.Redis)
	}
	return err
}

// redisAt is how Redis is reached: one server, a master that Sentinels name, or the nodes
// of a cluster. One of them is set.
type redisAt struct {
	Addr      string   `json:",omitempty"`
	Sentinels []string `json:",omitempty"`
	Nodes     []string `json:",omitempty"`
}

// client is the client that a user has of that. Close it.
func (a redisAt) client(timeout time.Duration) redis.UniversalClient {
	switch {
	case len(a.Sentinels) > 0:
		return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testserver.MasterName, SentinelAddrs: a.Sentinels, ReadTimeout: timeout, DialTimeout: timeout})
	case len(a.Nodes) > 0:
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: a.Nodes, ReadTimeout: timeout, DialTimeout: timeout})
	}
	return redis.NewClient(&redis.Options{Addr: a.Addr, ReadTimeout: timeout, DialTimeout: timeout})
}
