// Package breaker keeps calls away from partitions of the hot set that do not answer.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// slowAfter is how long a call may be without an answer until its partition is probed.
	// A call normally takes milliseconds.
	slowAfter = 500 * time.Millisecond
	// probeWait is how long a probe may be without an answer until the breaker opens. A call
	// to a partition that has stopped answering ends after slowAfter and probeWait, whatever
	// the timeouts of the client are.
	probeWait = 500 * time.Millisecond
	// probeCall is the timeout of one probe. If the partition has not answered by then, the
	// next probe follows.
	probeCall = 2 * time.Second
	// probeRest is the least time between the beginnings of two probes.
	probeRest = 200 * time.Millisecond
	// forgetAfter is how long an open breaker probes its partition although no call asks for
	// that partition.
	forgetAfter = 10 * time.Second
	// callTimeout is how long a call may take if its partition answers probes. scanTimeout is
	// the same for calls that may look at everything that a partition holds, or that carry a
	// page of the feeder over a slow link.
	callTimeout = 5 * time.Second
	scanTimeout = time.Minute
)

// Breaker is a hotset.Set that has a circuit breaker for each partition. A server that is
// stopped, or a cluster node that is cut off, accepts calls and answers none. Without the
// breaker each call to it waits for the timeout of its client, which may be many seconds.
//
// Protocol, for each partition:
//
//  1. Closed: calls go through. If a call has no answer after slowAfter, or if its caller has
//     given it up before, the partition is suspected.
//  2. Suspected: calls go through, and a goroutine probes the partition: it asks for its State.
//     An answer, also an error, closes the breaker. No answer within probeWait opens it: all
//     calls to the partition that are under way end, and all other partitions are suspected,
//     because one server holds many partitions.
//  3. Open: calls fail at once with ErrUnavailable, as calls that never reached their server,
//     and callers try again, as after any failure. The goroutine goes on probing. An answer
//     closes the breaker. If no call has asked for the partition for forgetAfter, the probes
//     end, the breaker closes, and the next call finds out anew.
//
// The probe is what other circuit breakers do in their half-open state: it lets one call
// through, and that call is never a user's.
//
// A slow call goes on while its partition answers probes, for it may carry much over a slow
// link. Extend waits for the breaker to close, instead of failing, so that leases are
// extended as soon as a server is back. Watch goes past the breaker: it only waits for the end of
// its context.
//
// The goroutine of a partition exists only while that partition is suspected or open.
type Breaker struct {
	set    hotset.Set
	report *report.Reporter

	mu    sync.Mutex
	parts []partition
}

// state is the state of one breaker.
type state int

const (
	closed    state = iota // calls go through
	suspected              // calls go through, and the partition is probed
	open                   // calls fail at once, and the partition is probed
)

// partition is what the breaker knows of one partition. Breaker.mu guards it.
type partition struct {
	state  state
	wanted time.Time      // when a call met the open breaker last
	calls  map[*call]bool // the calls under way; all of them end when the breaker opens
	closes chan struct{}  // closed when the breaker closes; nil unless it is open
}

// call is a call that is under way.
type call struct {
	end   context.CancelCauseFunc
	timer *time.Timer // has the partition probed after slowAfter, and ends the call at last
}

// errOpened is the cause of the end of calls that were under way when their breaker opened.
var errOpened = errors.New("the partition hangs")

// Wrap returns a Breaker around set. It starts nothing.
func Wrap(set hotset.Set, r *report.Reporter) *Breaker {
	b := &Breaker{set: set, report: r, parts: make([]partition, set.Config().Partitions)}
	for p := range b.parts {
		b.parts[p].calls = map[*call]bool{}
	}
	return b
}

// ask makes a call to partition p, which may take most.
func ask[R any](ctx context.Context, b *Breaker, p int, most time.Duration, do func(context.Context) (R, error)) (R, error) {
	var none R
	began := time.Now()
	bounded, end := context.WithCancelCause(ctx)
	defer end(nil)
	c := &call{end: end}
	if !b.enter(p, c, most) {
		return none, fmt.Errorf("partition %d hangs, and was not asked: %w", p, task.ErrUnavailable)
	}
	defer b.leave(p, c)
	r, err := do(bounded)
	if err == nil || bounded.Err() == nil {
		return r, err
	}
	if ctx.Err() == nil { // err is no answer, and the caller has not ended the call
		return r, fmt.Errorf("%w: no answer within %s: %w: %w", task.ErrUnavailable, time.Since(began).Round(time.Millisecond), context.Cause(bounded), err)
	}
	b.suspect(p) // the caller gave the call up: perhaps it would never have an answer
	return r, err
}

// enter notes that a call to p begins, which may take most; false: the breaker is open.
func (b *Breaker) enter(p int, c *call, most time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := &b.parts[p]
	if part.state == open {
		part.wanted = time.Now()
		return false
	}
	part.calls[c] = true
	c.timer = time.AfterFunc(slowAfter, func() { b.slow(p, c, most-slowAfter) })
	return true
}

// leave notes that a call has ended.
func (b *Breaker) leave(p int, c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.timer.Stop()
	delete(b.parts[p].calls, c)
}

// slow has p probed, and ends a call that is still under way after the rest of its time.
func (b *Breaker) slow(p int, c *call, rest time.Duration) {
	b.suspect(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parts[p].calls[c] {
		c.timer = time.AfterFunc(rest, func() { c.end(context.DeadlineExceeded) })
	}
}

// suspect starts the goroutine that probes p, if the breaker of p is closed.
func (b *Breaker) suspect(p int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if part := &b.parts[p]; part.state == closed {
		part.state = suspected
		go b.probe(p)
	}
}

// probe asks p until it answers, or until no call has asked for p for forgetAfter.
func (b *Breaker) probe(p int) {
	for {
		began := time.Now()
		late := time.AfterFunc(probeWait, func() { b.trip(p) })
		answered := b.answers(p)
		late.Stop()
		if b.probed(p, answered) {
			return
		}
		wait.For(context.Background(), probeRest-time.Since(began))
	}
}

// answers asks p once.
func (b *Breaker) answers(p int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeCall)
	defer cancel()
	_, err := b.set.State(ctx, p)
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, task.ErrUnavailable)
}

// trip opens the breaker of p, if p is still suspected, and has all other partitions probed.
func (b *Breaker) trip(p int) {
	b.mu.Lock()
	part := &b.parts[p]
	if part.state != suspected {
		b.mu.Unlock()
		return
	}
	part.state, part.wanted, part.closes = open, time.Now(), make(chan struct{})
	for c := range part.calls {
		c.end(errOpened)
	}
	b.mu.Unlock()
	b.report.Error("call the hot set", fmt.Errorf("no answer within %s: %w", probeWait, task.ErrUnavailable), "the partition is left alone until it answers", "partition", p)
	for other := range b.parts {
		b.suspect(other)
	}
}

// probed takes the outcome of a probe, and reports whether that was the last one. The
// breaker closes then: the partition answers, or the breaker has not opened meanwhile, or no
// call has asked for the partition for forgetAfter.
func (b *Breaker) probed(p int, answered bool) (last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := &b.parts[p]
	opened := part.state == open
	if opened && !answered && time.Since(part.wanted) < forgetAfter {
		return false
	}
	part.state = closed
	if opened {
		close(part.closes)
		if answered {
			b.report.Info("partition answers again", "partition", p)
		}
	}
	return true
}

// await waits until the breaker of p is not open, or ctx ends.
func (b *Breaker) await(ctx context.Context, p int) error {
	for {
		closes := b.opened(p)
		if closes == nil {
			return nil
		}
		select {
		case <-closes:
		case <-ctx.Done():
			return fmt.Errorf("partition %d hangs, and was not asked: %w: %w", p, task.ErrUnavailable, ctx.Err())
		}
	}
}

// opened returns what is closed when the open breaker of p closes; nil if it is not open.
func (b *Breaker) opened(p int) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	part := &b.parts[p]
	if part.state != open {
		return nil
	}
	part.wanted = time.Now()
	return part.closes
}
