package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// sentinelFailover has a Sentinel order a failover, and returns once the old master is a
// replica: some seconds later, in which it still takes the writes of clients that have not heard of the new one.
func (st *stage) sentinelFailover(m master, by *testserver.Server) error {
	var last error
	err := until("a failover is accepted", func() bool { // one may be in progress, or no replica good enough yet
		last = order(by.Addr, "SENTINEL", "FAILOVER", testserver.MasterName)
		now := st.sentinel.Master()
		return last == nil || now != nil && now != m.node
	})
	if err != nil {
		return errors.Join(err, last)
	}
	ordered := time.Now()
	return until("the old master follows the new one", func() bool {
		now := st.sentinel.Master()
		if now == m.node && time.Since(ordered) > givenUp {
			_ = order(by.Addr, "SENTINEL", "FAILOVER", testserver.MasterName)
			ordered = time.Now()
		}
		return now != nil && now != m.node && st.sentinel.Follows(m.node, now)
	})
}

// givenUp is after how long a failover that is not done was given up by its Sentinel, because a
// busy machine kept the replica from answering; it is ordered again.
const givenUp = 15 * time.Second

// sentinelKill: one of three Sentinels is killed, and comes back.
func sentinelKill(st *stage, r *rand.Rand) error {
	st.redisMu.Lock()
	defer st.redisMu.Unlock()
	node := st.sentinel.Sentinels[r.IntN(3)]
	err := st.hit(history.Event{Kind: "sentinel"}, func() error {
		node.Kill()
		hold(between(r, time.Second, 5*time.Second))
		return node.Boot(context.Background())
	})
	if err != nil {
		return err
	}
	return master{of: st.sentinel}.ready()
}

// twoMasters: a Sentinel is paused, and another orders a failover. Workers that heard the
// paused one stay on the old master, which takes their writes until it is made a replica;
// the others are on the new one.
func twoMasters(st *stage, r *rand.Rand) error {
	k := r.IntN(3)
	deaf, by := st.sentinel.Sentinels[k], st.sentinel.Sentinels[(k+1)%3]
	return st.change(r, history.Event{Kind: "twomasters", Loses: true}, func(m master, _ failover) error {
		deaf.Pause()
		err := st.sentinelFailover(m, by)
		deaf.Continue()
		return err
	})
}
