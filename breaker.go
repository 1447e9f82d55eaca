package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// patience is how long a call may be without an answer before its partition is asked
	// whether it answers at all. A call takes milliseconds.
	patience = 500 * time.Millisecond
	// probeWait is how long the answer to that question may take. A call that meets a
	// partition which has begun to hang ends after both, whatever the client's timeouts.
	probeWait = 500 * time.Millisecond
	// probeCall is how long one question may be under way. The next one follows it.
	probeCall = 2 * time.Second
	// probeRest is the least time between two questions.
	probeRest = 200 * time.Millisecond
	// forgetHang is for how long a partition that hangs is asked though no call wants it.
	forgetHang = 10 * time.Second
	// longestCall is how long a call may take at most if its partition answers, and
	// longestRound the same of calls that may look at all that a partition holds, or carry
	// a page of the feeder over a slow link.
	longestCall  = 5 * time.Second
	longestRound = time.Minute
)

// breaker is a Set with a circuit breaker for each partition. A partition hangs if its
// server accepts calls and answers none: a node of a cluster that is cut off, or a
// process that is stopped. A client may wait for many seconds then, or for ever.
//
// Protocol, for each partition:
//
//  1. Closed: calls go through. One that has no answer after patience, or was given up by
//     its caller before, has the partition probed: a goroutine asks for its State.
//  2. A probe without an answer after probeWait opens the breaker. All calls that wait for
//     the partition end then, and all other partitions are probed, for a node has many.
//  3. Open: calls fail at once (ErrUnavailable), as calls that never reached their server.
//     Whoever makes them tries again, as after any failure. The probe goes on until the
//     partition answers, by an error too; that closes the breaker. If no call has asked for
//     the partition for forgetHang the probe ends, and the next call finds out anew.
//
// A slow call is not cut off while the probe is answered: it may carry much over a slow
// link. Extensions wait for the breaker to close, instead of failing, so that leases are
// extended as soon as a server is back. Watch is not under the breaker: it waits for
// nothing but its context.
//
// One goroutine for each partition exists only while it is probed.
type breaker struct {
	hotset.Set
	report *report.Reporter

	mu    sync.Mutex
	parts []health
}

// health is what is known of a partition. Under the breaker's mu.
type health struct {
	open    bool
	probing bool
	wanted  time.Time      // when a call met the open breaker last
	calls   map[*wait]bool // that are under way; all end when it opens
	closed  chan struct{}  // is closed when the breaker closes; nil unless it is open
}

// wait is a call that is under way.
type wait struct {
	end   context.CancelCauseFunc
	timer *time.Timer // probes the partition after patience, and ends the call at last
}

// errHangs is why calls to a partition end when its breaker opens.
var errHangs = errors.New("the partition hangs")

func newBreaker(set hotset.Set, r *report.Reporter) *breaker {
	s := &breaker{Set: set, report: r, parts: make([]health, set.Config().Partitions)}
	for p := range s.parts {
		s.parts[p].calls = map[*wait]bool{}
	}
	return s
}

// ask makes a call to partition p, which may take most.
func ask[R any](ctx context.Context, s *breaker, p int, most time.Duration, call func(context.Context) (R, error)) (R, error) {
	var none R
	began := time.Now()
	bounded, end := context.WithCancelCause(ctx)
	defer end(nil)
	w := &wait{end: end}
	if !s.enter(p, w, most) {
		return none, fmt.Errorf("partition %d hangs, and was not asked: %w", p, task.ErrUnavailable)
	}
	defer s.leave(p, w)
	r, err := call(bounded)
	if err == nil || bounded.Err() == nil {
		return r, err
	}
	if ctx.Err() == nil { // neither an answer, nor its caller's end
		return r, fmt.Errorf("%w: no answer within %s: %w: %w", task.ErrUnavailable, time.Since(began).Round(time.Millisecond), context.Cause(bounded), err)
	}
	s.probe(p) // what its caller has no time for may have no answer at all
	return r, err
}

// enter notes that a call to p begins, which may take most; false: the breaker is open.
func (s *breaker) enter(p int, w *wait, most time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.parts[p]
	if h.open {
		h.wanted = time.Now()
		return false
	}
	h.calls[w] = true
	w.timer = time.AfterFunc(patience, func() { s.late(p, w, most-patience) })
	return true
}

// leave notes that a call has ended.
func (s *breaker) leave(p int, w *wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.timer.Stop()
	delete(s.parts[p].calls, w)
}

// late has p probed, and ends a call that is still under way after the rest of its time.
func (s *breaker) late(p int, w *wait, rest time.Duration) {
	s.probe(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[p].calls[w] {
		w.timer = time.AfterFunc(rest, func() { w.end(context.DeadlineExceeded) })
	}
}

// probe asks p in a goroutine of its own, unless one does already.
func (s *breaker) probe(p int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := &s.parts[p]; !h.probing {
		h.probing = true
		go s.probeAll(p)
	}
}

// probeAll asks p until it answers, or nobody has wanted it for long.
func (s *breaker) probeAll(p int) {
	for {
		began := time.Now()
		late := time.AfterFunc(probeWait, func() { s.opens(p) })
		answered := s.answers(p)
		late.Stop()
		if s.probed(p, answered) {
			return
		}
		sleep(context.Background(), probeRest-time.Since(began))
	}
}

// answers asks p once.
func (s *breaker) answers(p int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeCall)
	defer cancel()
	_, err := s.Set.State(ctx, p)
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, task.ErrUnavailable)
}

// opens opens the breaker of p, if it is still probed, and has all others probed.
func (s *breaker) opens(p int) {
	s.mu.Lock()
	h := &s.parts[p]
	if h.open || !h.probing {
		s.mu.Unlock()
		return
	}
	h.open, h.wanted, h.closed = true, time.Now(), make(chan struct{})
	for w := range h.calls {
		w.end(errHangs)
	}
	s.mu.Unlock()
	s.report.Error("call the hot set", fmt.Errorf("no answer within %s: %w", probeWait, task.ErrUnavailable), "the partition is left alone until it answers", "partition", p)
	for other := range s.parts {
		s.probe(other)
	}
}

// probed notes what a probe has found, and reports whether that was the last one: the
// partition answers, its breaker has not opened, or no call has wanted it for long.
func (s *breaker) probed(p int, answered bool) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.parts[p]
	if h.open && !answered && time.Since(h.wanted) < forgetHang {
		return false
	}
	h.probing = false
	if h.open {
		h.open = false
		close(h.closed)
		if answered {
			s.report.Info("partition answers again", "partition", p)
		}
	}
	return true
}

// await waits until the breaker of p is closed, or ctx ends.
func (s *breaker) await(ctx context.Context, p int) error {
	for {
		s.mu.Lock()
		h := &s.parts[p]
		open, closed := h.open, h.closed
		if open {
			h.wanted = time.Now()
		}
		s.mu.Unlock()
		if !open {
			return nil
		}
		select {
		case <-closed:
		case <-ctx.Done():
			return fmt.Errorf("partition %d hangs, and was not asked: %w: %w", p, task.ErrUnavailable, ctx.Err())
		}
	}
}

// Clock implements hotset.Set.
func (s *breaker) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.AsOf, error) { return s.Set.Clock(ctx, p) })
}

// Check implements hotset.Set.
func (s *breaker) Check(ctx context.Context, p int) error {
	_, err := ask(ctx, s, p, longestCall, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Set.Check(ctx, p) })
	return err
}

// State implements hotset.Set.
func (s *breaker) State(ctx context.Context, p int) (task.State, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.State, error) { return s.Set.State(ctx, p) })
}

// Horizon implements hotset.Set.
func (s *breaker) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	return ask(ctx, s, p, longestRound, func(ctx context.Context) (task.PartitionStatus, error) { return s.Set.Horizon(ctx, p, f) })
}

// Feed implements hotset.Set.
func (s *breaker) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return ask(ctx, s, p, longestRound, func(ctx context.Context) (task.PartitionStatus, error) { return s.Set.Feed(ctx, p, page) })
}

// Add implements hotset.Set.
func (s *breaker) Add(ctx context.Context, p int, a task.AddRequest) ([]task.Answer, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) ([]task.Answer, error) { return s.Set.Add(ctx, p, a) })
}

// Remove implements hotset.Set.
func (s *breaker) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.RemoveResult, error) { return s.Set.Remove(ctx, p, token, refs) })
}

// Claim implements hotset.Set.
func (s *breaker) Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.Batch, error) { return s.Set.Claim(ctx, p, token, limit, lease) })
}

// Extend implements hotset.Set. It waits for an open breaker to close.
func (s *breaker) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	if err := s.await(ctx, p); err != nil {
		return task.ExtendResult{}, err
	}
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.ExtendResult, error) { return s.Set.Extend(ctx, p, h) })
}

// Release implements hotset.Set.
func (s *breaker) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.Answer, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) ([]task.Answer, error) { return s.Set.Release(ctx, p, r) })
}

// Find implements hotset.Set.
func (s *breaker) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return ask(ctx, s, p, longestRound, func(ctx context.Context) ([]task.FindResult, error) { return s.Set.Find(ctx, p, refs) })
}

// Expired implements hotset.Set.
func (s *breaker) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) ([]task.ExpiredBatch, error) { return s.Set.Expired(ctx, p, limit, lease) })
}

// Elect implements hotset.Set. The roles live in partition 0.
func (s *breaker) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	return ask(ctx, s, 0, longestCall, func(ctx context.Context) ([]task.Term, error) { return s.Set.Elect(ctx, holder, term, roles...) })
}
