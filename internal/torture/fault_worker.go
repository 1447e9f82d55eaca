package main

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// killWorker: kill -9, and another life after a while. Each other time the process
// loses its way to Redis first, as on a machine that fails piece by piece: then it
// dies with much done in MySQL of which Redis does not know.
func killWorker(st *stage, r *rand.Rand) error {
	sl := st.anySlot(r)
	sl.busy.Lock()
	defer sl.busy.Unlock()
	e := history.Event{Kind: "kill", Target: sl.who()}
	if r.IntN(2) == 0 {
		e.Variant = "cut off before"
	}
	return st.hit(e, func() error {
		if e.Variant != "" {
			sl.redis.cut()
			hold(between(r, 500*time.Millisecond, leaseTime/2))
		}
		sl.kill()
		sl.redis.mend()
		hold(between(r, 0, 2*time.Second))
		return sl.start()
	})
}

// stopWorker: SIGSTOP beyond the lease, then SIGCONT. Redis's answers are slow just
// before, so that there are claims on their way.
func stopWorker(st *stage, r *rand.Rand) error {
	sl := st.anySlot(r)
	sl.busy.Lock()
	defer sl.busy.Unlock()
	return st.hit(history.Event{Kind: history.Stop, Target: sl.who(), Parts: true, Blurs: true}, func() error {
		sl.redis.slow(0, redisTimeout/2)
		hold(redisTimeout / 2)
		sl.signal(syscall.SIGSTOP)
		sl.redis.mend()
		hold(between(r, leaseTime, 2*leaseTime+time.Second))
		sl.signal(syscall.SIGCONT)
		return nil
	})
}

// drainWorker: a rolling restart of half the workers. Each is to end in good order.
func drainWorker(st *stage, r *rand.Rand) error {
	first := r.IntN(len(st.slots))
	for i := range max(1, len(st.slots)/2) {
		if err := restart(st, st.slots[(first+i)%len(st.slots)]); err != nil {
			return err
		}
	}
	return nil
}

func restart(st *stage, sl *slot) error {
	sl.busy.Lock()
	defer sl.busy.Unlock()
	return st.hit(history.Event{Kind: "drain", Target: sl.who()}, func() error {
		if err := sl.drain(2*drainTime + 10*time.Second); err != nil {
			return err
		}
		return sl.start()
	})
}

// shiftClock: a worker's clock steps, by 5 s or 1 h, one way or the other, and stays
// so for a while. That excuses nothing: the fault is only the moment.
func shiftClock(st *stage, r *rand.Rand) error {
	sl := st.anySlot(r)
	off := []int{5, -5, 3600, -3600}[r.IntN(4)]
	step := func(to int) error {
		e := history.Event{Kind: "clock", Variant: fmt.Sprintf("%+d s", to), Target: sl.who()}
		return st.hit(e, func() error {
			sl.tell(fmt.Sprint("clock ", to))
			return nil
		})
	}
	if err := step(off); err != nil {
		return err
	}
	hold(between(r, 2*time.Second, 5*time.Second))
	if r.IntN(2) == 0 { // else until its next life
		return step(0)
	}
	return nil
}
