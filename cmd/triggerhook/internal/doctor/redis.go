package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// Redis is a hot set that is to be examined.
type Redis struct {
	Client   redis.UniversalClient // of Set
	Set      *hotset.Redis         // the set as workers use it
	HotTasks int                   // the workers' Options.HotTasks
}

// Check examines each server, and whether the set can work in each partition.
func (r Redis) Check(ctx context.Context) []Finding {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return []Finding{failed("redis.reach", "Nothing is delivered until it answers; tasks are created all the same.", "Check --hot, and that the server runs.", err)}
	}
	var all []Finding
	for _, n := range nodes {
		all = append(all, r.node(ctx, n, len(nodes))...)
	}
	if cluster, is := r.Client.(*redis.ClusterClient); is {
		all = append(all, clusterState(ctx, cluster, r.Set.Config().Partitions, len(nodes)))
	}
	return append(all, r.partitions(ctx)...)
}

// nodes are the servers that take writes.
func (r Redis) nodes(ctx context.Context) ([]*redis.Client, error) {
	if one, is := r.Client.(*redis.Client); is {
		return []*redis.Client{one}, one.Ping(ctx).Err()
	}
	cluster, is := r.Client.(*redis.ClusterClient)
	if !is {
		return nil, fmt.Errorf("%w: a client of type %T", task.ErrInvalid, r.Client)
	}
	var mu sync.Mutex
	var all []*redis.Client
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, n)
		return n.Ping(ctx).Err()
	})
	slices.SortFunc(all, func(a, b *redis.Client) int { return strings.Compare(a.Options().Addr, b.Options().Addr) })
	return all, err
}

// node examines one server.
func (r Redis) node(ctx context.Context, n *redis.Client, nodes int) []Finding {
	text, err := n.Info(ctx).Result()
	if err != nil {
		return []Finding{failed("redis.info", "The hot set cannot tell a server that lost its data, so workers refuse it.", "Allow INFO: ACL SETUSER ... +info (docs/security.md has the whole ACL).", err)}
	}
	info := parseInfo(text)
	config, err := configOf(ctx, n)
	all := judgeRedis(info, config, r.HotTasks/nodes)
	if err != nil {
		all = append(all, unread("redis.config", err))
	}
	all = append(all, redisClock(ctx, n), latency(ctx, n))
	if nodes > 1 {
		for i := range all {
			all[i].Seen = n.Options().Addr + ": " + all[i].Seen
		}
	}
	return all
}

// parseInfo reads the answer of INFO.
func parseInfo(text string) settings {
	all := settings{}
	for line := range strings.Lines(text) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), ":"); is {
			all[name] = value
		}
	}
	return all
}

// configNames are the settings that matter and that INFO does not tell.
var configNames = []string{"client-output-buffer-limit", "timeout", "stop-writes-on-bgsave-error", "min-replicas-to-write", "save", "appendfsync"}

// configOf reads configNames. A user with the least rights may not.
func configOf(ctx context.Context, n *redis.Client) (settings, error) {
	all := settings{}
	for _, name := range configNames { // one by one: Redis takes several names since 7.0
		got, err := n.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, fmt.Errorf("CONFIG GET %s: %w", name, err)
		}
		for k, v := range got {
			all[k] = v
		}
	}
	return all, nil
}

// redisClock compares clocks. Tasks go by this one.
func redisClock(ctx context.Context, n *redis.Client) Finding {
	const check, most = "redis.clock", time.Second
	began := time.Now()
	now, err := n.Time(ctx).Result()
	if err != nil {
		return unread(check, err)
	}
	return clock(check, "Redis's clock alone decides what is due, and producers compute due times by theirs: tasks come early or late by the difference.",
		"Synchronise both machines (chrony, systemd-timesyncd).", most, began, time.Now(), now)
}

// latency measures round trips.
func latency(ctx context.Context, n *redis.Client) Finding {
	const check, rounds, most = "redis.latency", 20, 10 * time.Millisecond
	all := make([]time.Duration, rounds)
	for i := range all {
		began := time.Now()
		if err := n.Ping(ctx).Err(); err != nil {
			return unread(check, err)
		}
		all[i] = time.Since(began)
	}
	slices.Sort(all)
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("a round trip takes %s in the median of %d, %s at most", all[rounds/2].Round(time.Microsecond), rounds, all[rounds-1].Round(time.Microsecond))}
	if all[rounds/2] > most {
		f.Status, f.Means = Warning, "A claim is a round trip, so each task is late by that much at least, if workers are as far away as this machine."
		f.Mend = "Run workers near Redis; look for slow commands of others with SLOWLOG GET."
	}
	return f
}

// clusterState looks whether all slots are served.
func clusterState(ctx context.Context, c *redis.ClusterClient, partitions, masters int) Finding {
	const check = "redis.cluster"
	text, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return unread(check, err)
	}
	info := parseInfo(text)
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("cluster_state %s, %s of 16384 slots served, %d masters, %d partitions", info["cluster_state"], info["cluster_slots_ok"], masters, partitions)}
	switch {
	case info["cluster_state"] != "ok" || info["cluster_slots_ok"] != "16384":
		f.Status, f.Means, f.Mend = Error, "Partitions in slots that no master serves deliver nothing.", "redis-cli --cluster fix HOST:PORT"
	case partitions < masters:
		f.Status, f.Means = Warning, "A partition is in one slot, so some masters have no work."
		f.Mend = "Some partitions for each master; docs/operations.md says how to change their number."
	}
	return f
}

// partitions asks the set itself, which tries each command and right that workers need.
func (r Redis) partitions(ctx context.Context) []Finding {
	const check = "redis.rights"
	n := r.Set.Config().Partitions
	for p := range n {
		err := r.Set.Check(ctx, p)
		if err == nil {
			continue
		}
		f := failed(check, "Run tries the same before it works, and fails or waits.", "docs/security.md has the least ACL, docs/redis.md the settings that are needed.", err)
		if !errors.Is(err, task.ErrRefused) && !errors.Is(err, task.ErrMismatch) {
			f.Mend = "Wait for the end of a failover, or look at the other findings."
		}
		return []Finding{f}
	}
	return []Finding{{Check: check, Status: OK, Seen: fmt.Sprintf("all commands, scripts and channels that workers need, in %d partitions", n)}}
}
