package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// replicated is a Redis whose replicas take the place of a master: testserver.Sentinel and
// testserver.Cluster.
type replicated interface {
	Replica(node *testserver.Server) *testserver.Server
	Ready(ctx context.Context) error
}

// master is a server that a fault hits, and what takes its place.
type master struct {
	of      replicated
	node    *testserver.Server
	parts   []int  // the partitions that it holds
	key     string // that lies there
	servers []*testserver.Server
}

// anyMaster is the master of a random partition.
func (st *stage) anyMaster(r *rand.Rand) (master, error) {
	key := func(p int) string { return fmt.Sprintf("probe{%s:%d}", st.ns, p) }
	p := r.IntN(st.parts)
	if st.sentinel != nil {
		m := master{of: st.sentinel, key: key(p), servers: st.sentinel.Nodes}
		err := until("the Sentinels agree on a master", func() bool {
			m.node = st.sentinel.Master()
			return m.node != nil
		})
		return m, err
	}
	m := master{of: st.cluster, key: key(p), servers: st.cluster.Nodes}
	err := until("a node has "+m.key, func() bool {
		m.node = st.owner(m.key)
		return m.node != nil
	})
	if err != nil {
		return m, err
	}
	for q := range st.parts {
		if st.owner(key(q)) == m.node {
			m.parts = append(m.parts, q)
		}
	}
	return m, nil
}

// owner is the master in a cluster that takes writes of a key; nil if none does.
func (st *stage) owner(key string) *testserver.Server {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	for _, s := range st.cluster.Nodes {
		if set(ctx, s.Addr, key) == nil {
			return s
		}
	}
	return nil
}

// set writes a key at one server.
func set(ctx context.Context, addr, key string) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialTimeout: probeTime, ReadTimeout: probeTime, PoolSize: 1})
	defer rdb.Close()
	return rdb.Set(ctx, key, "", time.Minute).Err()
}

// probes measure how long m's place is empty. Of a cluster any node may take the write, which
// its client may learn of late; the client of Sentinel knows no other master than they do.
func (st *stage) probes(m master) (failover, func()) {
	rdb := st.redisAt.client(probeTime)
	plain := newProbe(func(ctx context.Context) error { return rdb.Set(ctx, m.key, "", time.Minute).Err() })
	closed := func() { _ = rdb.Close() }
	if st.cluster == nil {
		return failover{engine: plain}, closed
	}
	return failover{engine: newProbe(func(ctx context.Context) error { return anyNode(ctx, m) }), client: plain}, closed
}

// anyNode writes to whichever node takes the write.
func anyNode(ctx context.Context, m master) error {
	errs := make(chan error, len(m.servers))
	for _, s := range m.servers {
		go func() { errs <- set(ctx, s.Addr, m.key) }()
	}
	var last error
	for range m.servers {
		if last = <-errs; last == nil {
			return nil
		}
	}
	return last
}

// ready waits until all is as before, with the parts changed.
func (m master) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), served)
	defer cancel()
	return m.of.Ready(ctx)
}

// apart is how long at most a failover waits, beside the one before it: some follow at once.
const apart = 8 * time.Second

// change does a failover of a random master, alone, and waits after it until all servers are
// up and in their parts again. What do does is the fault.
func (st *stage) change(r *rand.Rand, e history.Event, do func(m master, f failover) error) error {
	st.redisMu.Lock()
	defer st.redisMu.Unlock()
	m, err := st.anyMaster(r)
	if err != nil {
		return err
	}
	f, closed := st.probes(m)
	defer closed()
	if err := f.engine.succeeded(time.Time{}); err != nil {
		return err
	}
	e.Partitions, e.Parts = m.parts, true
	hold(between(r, 0, apart))
	if err := st.fail(e, f, func(f failover) error { return do(m, f) }); err != nil {
		return err
	}
	return m.ready()
}

// masterKill: kill -9 of a master. Its replica takes its place, without the last writes; it
// is started again some seconds later, and becomes the replica.
func masterKill(st *stage, r *rand.Rand) error {
	down := between(r, 3*time.Second, 8*time.Second)
	return st.change(r, history.Event{Kind: "masterkill", Loses: true}, func(m master, f failover) error {
		m.node.Kill()
		killed := time.Now().Add(probeEvery) // an answer may have been on its way
		err := f.engine.succeeded(killed)
		hold(time.Until(killed.Add(down)))
		err = errors.Join(err, m.node.Boot(context.Background()))
		if err == nil && f.client != nil {
			err = f.client.succeeded(killed)
		}
		return err
	})
}

// masterPause: SIGSTOP of a master, for longer or shorter than it takes to be held for down.
// One that goes on after its replica took its place is a second master for a moment.
func masterPause(st *stage, r *rand.Rand) error {
	e, d := history.Event{Kind: "masterpause", Variant: "short"}, between(r, 200*time.Millisecond, testserver.DownAfter*2/3)
	if r.IntN(3) > 0 {
		e, d = history.Event{Kind: "masterpause", Variant: "long", Loses: true}, between(r, 5*time.Second, 9*time.Second)
	}
	return st.change(r, e, func(m master, f failover) error {
		m.node.Pause()
		hold(d)
		m.node.Continue()
		err := f.engine.succeeded(time.Now())
		if e.Loses {
			err = errors.Join(err, m.ready()) // until then it may be a second master
		}
		return err
	})
}

// orderedFailover: an operator has a replica take its master's place.
func orderedFailover(st *stage, r *rand.Rand) error {
	if st.sentinel != nil {
		return st.change(r, history.Event{Kind: "failover", Loses: true}, func(m master, _ failover) error {
			return st.sentinelFailover(m, st.sentinel.Sentinels[r.IntN(3)])
		})
	}
	how := []string{"", " FORCE", " TAKEOVER"}[r.IntN(3)]
	return st.change(r, history.Event{Kind: "failover", Variant: strings.TrimSpace("ordered" + how), Loses: true}, func(m master, _ failover) error {
		return st.clusterFailover(m, how)
	})
}

// order runs one command at a server, which is to succeed.
func order(addr string, args ...any) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ReadTimeout: 5 * time.Second})
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := rdb.Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("%v at %s: %w", args, addr, err)
	}
	return nil
}

// until waits for what servers come to by themselves.
func until(what string, is func() bool) error {
	for end := time.Now().Add(served); !is(); hold(20 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("within %s: %s", served, what)
		}
	}
	return nil
}
