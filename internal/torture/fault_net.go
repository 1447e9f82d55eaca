package main

import (
	"math/rand/v2"
	"time"
)

// link is a random place's way to a random server, by name.
func (st *stage) link(r *rand.Rand) (*slot, *proxy, string) {
	sl := st.anySlot(r)
	if r.IntN(2) == 0 {
		return sl, sl.mysql, "mysql"
	}
	return sl, sl.redis, "redis"
}

// cutConnections: all of a worker's to one server break, and none can be made for
// a while, which may be none, or longer than a lease.
func cutConnections(st *stage, r *rand.Rand) error {
	sl, p, _ := st.link(r)
	return st.hit("cut", sl.name, false, func() error {
		p.cut()
		if r.IntN(3) > 0 {
			hold(between(r, 0, leaseTime+2*time.Second))
		}
		p.mend()
		return nil
	})
}

// delayConnections: each message takes 1, 50 or 500 ms longer, either way.
func delayConnections(st *stage, r *rand.Rand) error {
	sl, p, _ := st.link(r)
	wait := []time.Duration{time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond}[r.IntN(3)]
	return st.hit("delay", sl.name, false, func() error {
		p.slow(wait, 0)
		hold(between(r, 2*time.Second, 5*time.Second))
		p.mend()
		return nil
	})
}

// halfOpen: the connections that there are never answer again, nor break; new ones
// are well. The fault is only the moment: whoever waits on such a connection is to
// notice by himself.
func halfOpen(st *stage, r *rand.Rand) error {
	sl, p, _ := st.link(r)
	return st.hit("halfopen", sl.name, false, func() error {
		p.forget()
		hold(2 * redisTimeout)
		return nil
	})
}

// lateReplies: what a worker sends arrives, and is done, but Redis's answers come
// after the client's timeout.
func lateReplies(st *stage, r *rand.Rand) error {
	sl := st.anySlot(r)
	return st.hit("latereply", sl.name, false, func() error {
		sl.redis.slow(0, redisTimeout+200*time.Millisecond)
		hold(between(r, time.Second, leaseTime+time.Second))
		sl.redis.mend()
		return nil
	})
}
