package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// link is a random place's way to a random server that it reaches through a proxy, by
// name.
func (st *stage) link(r *rand.Rand) (*slot, *proxy, string) {
	sl := st.anySlot(r)
	if r.IntN(2) == 0 || sl.redis == nil {
		return sl, sl.mysql, "mysql"
	}
	return sl, sl.redis, "redis"
}

// cutConnections: all of a worker's to one server break, and none can be made for
// a while, which may be none, or longer than a lease.
func cutConnections(st *stage, r *rand.Rand) error {
	sl, p, to := st.link(r)
	return st.hit(event("cut", sl, to, to), func() error {
		p.cut()
		if r.IntN(3) > 0 {
			hold(between(r, 0, leaseTime+2*time.Second))
		}
		p.mend()
		return nil
	})
}

// delayConnections: each message takes 1, 50 and 500 ms longer, either way, on one
// link after the other.
func delayConnections(st *stage, r *rand.Rand) error {
	waits := []time.Duration{time.Millisecond, 50 * time.Millisecond, 500 * time.Millisecond}
	r.Shuffle(len(waits), func(i, j int) { waits[i], waits[j] = waits[j], waits[i] })
	for _, wait := range waits {
		sl, p, to := st.link(r)
		e := event("delay", sl, to, fmt.Sprint(to, " ", wait))
		e.Parts = e.Parts && 2*wait >= redisTimeout
		e.Blurs = false // it waits for longer
		err := st.hit(e, func() error {
			p.slow(wait, 0)
			hold(between(r, time.Second, 3*time.Second))
			p.mend()
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// event is a fault of a place's way to a server.
func event(kind string, sl *slot, to, variant string) history.Event {
	return history.Event{Kind: kind, Variant: variant, Target: sl.name, Parts: to == "redis", Blurs: to == "mysql"}
}

const (
	slowDelay = 50 * time.Millisecond
	slowBytes = 512 << 10 // a second, either way
)

// slowLinks: for a while all workers are far from both servers, over a narrow line.
// They wait for longer, and that is all: it excuses nothing.
func slowLinks(st *stage, r *rand.Rand) error {
	set := func(delay time.Duration, bytes int) {
		for _, sl := range st.slots {
			sl.mysql.narrow(delay, bytes)
			sl.redis.narrow(delay, bytes)
		}
	}
	return st.hit(history.Event{Kind: "slowlink"}, func() error {
		set(slowDelay, slowBytes)
		hold(between(r, 3*time.Second, 7*time.Second))
		set(0, 0)
		return nil
	})
}

// halfOpen: the connections that exist neither answer again nor break; new ones work. The
// fault is only the moment: a process that waits on such a connection has to notice that
// itself.
func halfOpen(st *stage, r *rand.Rand) error {
	sl, p, to := st.link(r)
	return st.hit(event("halfopen", sl, to, to), func() error {
		p.forget()
		hold(2 * redisTimeout)
		return nil
	})
}

// lateReplies: what a worker sends arrives, and is done, but Redis's answers come
// after the client's timeout.
func lateReplies(st *stage, r *rand.Rand) error {
	sl := st.anySlot(r)
	return st.hit(event("latereply", sl, "redis", ""), func() error {
		sl.redis.slow(0, redisTimeout+200*time.Millisecond)
		hold(between(r, time.Second, leaseTime+time.Second))
		sl.redis.mend()
		return nil
	})
}

// forgotten is after how long no tombstone is left: three periods of 10 s.
const forgotten = 33 * time.Second

// lateRequests: what a worker asks of Redis is held back by the network and arrives
// seconds after its sender has given it up.
func lateRequests(st *stage, r *rand.Rand) error {
	return st.holdBack(st.anySlot(r), r, between(r, 2*time.Second, 8*time.Second))
}

// holdBack is that; the arrival is a fault of its own, which the run waits for.
func (st *stage) holdBack(sl *slot, r *rand.Rand, wait time.Duration) error {
	var held []*link
	err := st.hit(event("laterequest", sl, "redis", "held back"), func() error {
		sl.redis.holdBack()
		hold(between(r, 1500*time.Millisecond, leaseTime))
		held = sl.redis.letGo()
		return nil
	})
	st.late.Go(func() {
		hold(wait)
		variant := "arrived within 10 s"
		if wait >= forgotten {
			variant = fmt.Sprint("arrived after ", forgotten)
		}
		_ = st.hit(history.Event{Kind: "laterequest", Variant: variant}, func() error {
			sl.redis.arrive(held)
			hold(time.Second)
			return nil
		})
	})
	return err
}
