package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// twoRedis: for a while some workers work on one Redis and the others on a second one,
// both of which serve. In the end all are on the same one, and the other has lost what
// it held. To the workers that is a Redis that loses its data, no more: what was
// deleted stays so.
func twoRedis(st *stage, r *rand.Rand) error {
	st.redisMu.Lock()
	defer st.redisMu.Unlock()
	some := st.slots[:max(1, len(st.slots)/2)]
	do := []func() error{
		func() error { return st.deploy(r, some) },
		func() error { return st.deployAndBack(r, some) },
		func() error { return st.splitBrain(r, some) },
	}
	k := r.IntN(len(do))
	e := history.Event{Kind: "tworedis", Variant: []string{"deploy", "deploy taken back", "split brain"}[k], Loses: true, Parts: true}
	return st.hit(e, do[k])
}

// deploy is a rolling deploy with the address of another, empty Redis.
func (st *stage) deploy(r *rand.Rand, some []*slot) error {
	if err := st.lead(some, st.replica.Addr); err != nil {
		return err
	}
	hold(between(r, 2*time.Second, 5*time.Second))
	if err := st.lead(st.slots[len(some):], st.replica.Addr); err != nil {
		return err
	}
	return st.moved()
}

// deployAndBack is one that is given up halfway: the old server has old data then.
func (st *stage) deployAndBack(r *rand.Rand, some []*slot) error {
	to, back := st.replica.Addr, st.redisServer.Addr
	if err := st.lead(some, to); err != nil {
		return err
	}
	hold(between(r, 2*time.Second, 5*time.Second))
	if err := st.lead(some, back); err != nil {
		return err
	}
	return st.emptySecond(context.Background())
}

// splitBrain promotes a replica, to which some workers turn; the others stay on the
// master, which knows nothing of it, for longer than a lease.
func (st *stage) splitBrain(r *rand.Rand, some []*slot) error {
	if err := follow(st.replica.Addr, st.redisServer.Addr); err != nil {
		return err
	}
	hold(time.Second)
	if err := follow(st.replica.Addr, ""); err != nil {
		return err
	}
	for _, sl := range some {
		sl.redis.turn(st.replica.Addr)
	}
	hold(between(r, leaseTime, 2*leaseTime))
	for _, sl := range st.slots {
		sl.redis.turn(st.replica.Addr)
	}
	return st.moved()
}

// lead restarts workers, side by side, each of which works on the Redis at addr then.
func (st *stage) lead(some []*slot, addr string) error {
	errs := make([]error, len(some))
	var all sync.WaitGroup
	for i, sl := range some {
		all.Go(func() {
			sl.busy.Lock()
			defer sl.busy.Unlock()
			if errs[i] = sl.drain(2*drainTime + 10*time.Second); errs[i] == nil {
				sl.redis.turn(addr)
				errs[i] = sl.start()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// moved notes that all workers are on the second Redis, and makes the first one the
// second.
func (st *stage) moved() error {
	st.redisServer, st.replica = st.replica, st.redisServer
	st.mu.Lock()
	st.redisAt.Addr = st.redisServer.Addr
	st.mu.Unlock()
	return st.emptySecond(context.Background())
}

// emptySecond takes all from the second Redis that it holds.
func (st *stage) emptySecond(ctx context.Context) error {
	st.replica.Kill()
	return errors.Join(st.replica.Forget(), st.replica.Boot(ctx))
}
