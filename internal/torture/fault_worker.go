package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
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
	if r.IntN(2) == 0 && sl.redis != nil {
		e.Variant = "cut off before"
	}
	return st.hit(e, func() error {
		cutOff := time.Duration(0)
		if e.Variant != "" {
			cutOff = between(r, 500*time.Millisecond, leaseTime/2)
		}
		return sl.die(cutOff, between(r, 0, 2*time.Second))
	})
}

// die kills the process, which is cut off from Redis for so long before, and begins
// another life after a while.
func (sl *slot) die(cutOff, dead time.Duration) error {
	if cutOff > 0 {
		sl.redis.cut()
		hold(cutOff)
	}
	sl.kill()
	sl.redis.mend()
	hold(dead)
	return sl.start()
}

const (
	// rollingFor is how long restarts roll: longer than promptBound, by which what they
	// must not hold up is judged, and a window, in which that falls due.
	rollingFor = promptBound + window + 3*time.Second
	// rollingEvery is how long a worker lives meanwhile: less than any period of an agent
	// (its term is 2.8 s, its audit comes each 5 s).
	rollingEvery = 2 * time.Second
)

// rollingRestarts: each worker is told to end in good order every two seconds, and
// another begins at once. They hold nothing for long, so that a drain takes no time. One
// of them is cut off from Redis and dies just before: rows stand then of which Redis was
// not told, that are due soon, and only an audit finds them. Restarts excuse no lateness.
func rollingRestarts(st *stage, r *rand.Rand) error {
	if err := st.hit(history.Event{Kind: "rolling", Variant: "begins"}, func() error { return st.succession(0, true) }); err != nil {
		return err
	}
	sl := st.anySlot(r)
	sl.busy.Lock()
	err := st.hit(history.Event{Kind: "rolling", Variant: "a worker dies", Target: sl.who()}, func() error {
		return sl.die(800*time.Millisecond, 0)
	})
	sl.busy.Unlock()
	if err != nil {
		return err
	}
	if err := st.hit(history.Event{Kind: "rolling", Variant: "restarts", Prompt: true}, func() error { return st.succession(rollingFor, true) }); err != nil {
		return err
	}
	return st.hit(history.Event{Kind: "rolling", Variant: "ends"}, func() error { return st.succession(0, false) })
}

// succession has each worker succeeded, one after the other, for that long, but once at
// least, and waits until those that were have ended.
func (st *stage) succession(long time.Duration, brief bool) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	start, pace := time.Now(), rollingEvery/time.Duration(len(st.slots))
	for i := 0; i < len(st.slots) || time.Since(start) < long; i++ {
		old, err := st.slots[i%len(st.slots)].succeed(brief)
		if note(err); err != nil {
			break
		}
		all.Go(func() { note(old.drain(st, 2*drainTime+10*time.Second)) })
		hold(time.Until(start.Add(time.Duration(i+1) * pace)))
	}
	all.Wait()
	return errors.Join(errs...)
}

// succeed begins another life beside the one that is, which it returns.
func (sl *slot) succeed(brief bool) (life, error) {
	sl.busy.Lock()
	defer sl.busy.Unlock()
	sl.mu.Lock()
	sl.brief = brief
	sl.mu.Unlock()
	old := sl.now()
	return old, sl.start()
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
