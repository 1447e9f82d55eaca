package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Bounds of how long a task waits for its host, here and in the stores.
const (
	slotWait      = 100 * time.Millisecond // for a slot, while few others wait
	leastPostpone = 50 * time.Millisecond
	mostPostpone  = 30 * time.Second // beyond the opening of the circuit
	openInterval  = time.Millisecond // between two that an open circuit postpones, at least
	firstMean     = 100 * time.Millisecond
	halfOpen      = 3 // requests that are tried when a circuit was open
	breakerWindow = 30 * time.Second
	breakerBucket = 3 * time.Second
)

// host has the limits of one origin: at most so many requests at a time, and a circuit breaker.
//
// The rules, which its tests hold:
//   - OneSlotEach: no more requests run at a time than there are slots.
//   - OpenSendsNone: while the circuit is open no request is sent.
//   - FewWait: a handler waits for a slot only where one is likely to be free in time, and at most as many wait as there are slots. So a slow
//     host, or one that hangs, holds little more of a worker than its slots, and the tasks of other hosts go on.
//   - NoAttemptLost: a task that is not sent is postponed (Snooze), which counts no attempt.
type host struct {
	origin  string
	rest    time.Duration // Options.BreakerOpen
	slots   chan struct{} // one element for each running request
	waiting atomic.Int64  // handlers that wait for a slot
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	users   int // handlers that use it; of hosts.mu

	mu        sync.Mutex
	openUntil time.Time     // when the circuit that opened last tries again
	mean      time.Duration // moving average of how long a request takes
	began     time.Time     // when the last request began
	booked    time.Time     // until when postponed tasks have booked the slots
}

// newHost returns the host of an origin. opened is called when its circuit opens.
func newHost(origin string, o Options, opened func()) *host {
	h := &host{origin: origin, rest: o.BreakerOpen, slots: make(chan struct{}, o.PerHost), mean: firstMean}
	h.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: origin, MaxRequests: halfOpen, Interval: breakerWindow, BucketPeriod: breakerBucket, Timeout: o.BreakerOpen,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return int(c.TotalSuccesses+c.TotalFailures) >= o.BreakerRequests && c.TotalFailures >= c.TotalSuccesses
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNotOfHost) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to != gobreaker.StateOpen {
				return
			}
			h.mu.Lock()
			h.openUntil = time.Now().Add(o.BreakerOpen)
			h.mu.Unlock()
			opened()
		},
	})
	return h
}

// errNotOfHost marks the outcome of a request that tells nothing about the host.
var errNotOfHost = errors.New("this tells nothing about the host")

// postponed is why a task was not sent, and for how long it is put off.
type postponed struct {
	outcome string // of the metrics
	why     string
	delay   time.Duration
}

// admit waits for leave to send one request. The caller then calls the function with what the request's outcome says about the host:
// nil, errNotOfHost, or a failure. Otherwise the task is to be postponed, or ctx has ended (both nil).
func (h *host) admit(ctx context.Context) (func(error), *postponed) {
	if !h.takeSlot(ctx) {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, &postponed{outcomeBusy, fmt.Sprintf("%d requests to it run already", cap(h.slots)), h.book(leastPostpone, 0)}
	}
	done, err := h.breaker.Allow()
	if err != nil { // it is open, or is trying a few requests
		<-h.slots
		return nil, h.open()
	}
	began := h.begin()
	return func(failure error) {
		h.took(time.Since(began))
		done(failure)
		<-h.slots
	}, nil
}

// open is the answer while the circuit is open, or half open. Half open it is for as long as the requests take that are tried, which is not
// known: a tenth of the time that it was open keeps a backlog from coming back again and again meanwhile.
func (h *host) open() *postponed {
	return &postponed{outcomeOpen, "its circuit is open, because at least half of the last requests failed", h.book(max(leastPostpone, h.rest/10), openInterval)}
}

// takeSlot takes a slot. If none is free it waits for slotWait, if one is likely to be free until then.
func (h *host) takeSlot(ctx context.Context) bool {
	select {
	case h.slots <- struct{}{}:
		return true
	default:
	}
	defer h.waiting.Add(-1)
	if n := h.waiting.Add(1); n > int64(cap(h.slots)) || h.interval()*time.Duration(n) > slotWait {
		return false
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// begin notes that a request begins, and returns the time.
func (h *host) begin() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = time.Now()
	return h.began
}

// took notes that a request has ended, and adds how long it took to the average.
func (h *host) took(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mean += (d - h.mean) / 16
}

// interval returns how long it takes on the average until a slot is free, while all are taken.
func (h *host) interval() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.intervalLocked(time.Now())
}

// intervalLocked is interval. Where all slots are taken, and no request has begun for longer than one takes, the host hangs, and that time counts.
func (h *host) intervalLocked(now time.Time) time.Duration {
	d := h.mean
	if len(h.slots) == cap(h.slots) {
		d = max(d, now.Sub(h.began))
	}
	return d / time.Duration(cap(h.slots))
}

// book books the next time at which a slot is likely to be free, and returns how long until then. So the tasks of a backlog come back one
// after another, at about the rate that the host takes them, and not all at once. Beyond mostPostpone they come back spread at random. The
// time is no sooner than after, and two are no less apart than apart.
func (h *host) book(after, apart time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	least := now.Add(after)
	if h.openUntil.After(least) {
		least = h.openUntil.Add(time.Millisecond) // the breaker is open up to and with that instant
	}
	at := least
	if h.booked.After(at) {
		at = h.booked
	}
	if at.Sub(least) > mostPostpone {
		return least.Sub(now) + mostPostpone/2 + rand.N(mostPostpone/2)
	}
	h.booked = at.Add(max(apart, h.intervalLocked(now)))
	return at.Sub(now)
}
