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
	// patience is how long a call may take that ends without an answer, before its
	// partition is taken to hang: a call takes milliseconds, and who claims waits 2 s for it.
	patience = time.Second
	// probeEvery is how often a partition that hangs is asked again.
	probeEvery = time.Second
	// longestCall is how long a call may take at most, whatever its caller's context, and
	// longestRound the same of Horizon, which may sweep all that a partition holds.
	longestCall  = 5 * time.Second
	longestRound = time.Minute
)

// prompt is a Set that fails at once where it would hang: on a node of a cluster that is
// cut off, or paused. Claimer, feeder, auditor and others go through the partitions one
// after the other, and each that hung would take its share of everybody's time: with 8 of
// 24 hung, tasks of the other 16 came up to two minutes late.
//
// Protocol, for each partition:
//  1. A call that has no answer after patience, and ends so, makes the partition one that
//     hangs. All others are probed then, for a node has many.
//  2. While it hangs calls fail at once (ErrUnavailable), as calls that never reached
//     their server: whoever makes them tries again, as after any failure. Each probeEvery
//     one of them has it probed meanwhile.
//  3. A probe that is not answered within patience makes it one that hangs; one that is
//     answered, by an error too, ends that.
//
// Extensions are let through: the keeper asks all partitions side by side, and a lease
// may be as short as patience. So is what names no partition, and Find, which may take
// long.
//
// A goroutine exists only while a probe is under way, for longestCall at most.
type prompt struct {
	hotset.Set
	report *report.Reporter

	mu    sync.Mutex
	parts []health
}

// health is what is known of a partition.
type health struct {
	hangs  bool
	probed time.Time // when a probe began last
	asking bool      // a probe is under way
}

func newPrompt(set hotset.Set, r *report.Reporter) *prompt {
	return &prompt{Set: set, report: r, parts: make([]health, set.Config().Partitions)}
}

// ask makes a call to partition p, which may take most.
func ask[R any](ctx context.Context, s *prompt, p int, most time.Duration, call func(context.Context) (R, error)) (R, error) {
	var none R
	if s.hangs(p) {
		return none, fmt.Errorf("partition %d hangs, and was not asked: %w", p, task.ErrUnavailable)
	}
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	r, err := call(bounded)
	if silent(err) && time.Since(began) >= patience {
		s.suspect(p, err)
		if ctx.Err() == nil && bounded.Err() != nil {
			err = fmt.Errorf("%w: no answer within %s: %w", task.ErrUnavailable, most, err)
		}
	}
	return r, err
}

// silent reports whether err tells of no answer.
func silent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, task.ErrUnavailable)
}

// hangs reports whether p does, and has it probed if it is time.
func (s *prompt) hangs(p int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.parts[p]
	if h.hangs && time.Since(h.probed) >= probeEvery {
		s.probe(p)
	}
	return h.hangs
}

// suspect notes that p hangs, and has the others probed if that is news.
func (s *prompt) suspect(p int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.turn(p, true, err) {
		return
	}
	for other := range s.parts {
		s.probe(other)
	}
}

// turn notes whether p hangs, and reports whether that is news. Under mu.
func (s *prompt) turn(p int, hangs bool, err error) bool {
	if s.parts[p].hangs == hangs {
		return false
	}
	s.parts[p].hangs = hangs
	if hangs {
		s.report.Error("call the hot set", err, "the partition is left alone until it answers", "partition", p)
	} else {
		s.report.Info("partition answers again", "partition", p)
	}
	return true
}

// probe asks p in a goroutine of its own, unless that is under way. Under mu.
func (s *prompt) probe(p int) {
	h := &s.parts[p]
	if h.asking {
		return
	}
	h.asking, h.probed = true, time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), longestCall)
		defer cancel()
		late := time.AfterFunc(patience, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if h.asking {
				s.turn(p, true, fmt.Errorf("no answer within %s: %w", patience, task.ErrUnavailable))
			}
		})
		defer late.Stop()
		began := time.Now()
		_, err := s.Set.State(ctx, p)
		s.mu.Lock()
		defer s.mu.Unlock()
		h.asking = false
		s.turn(p, silent(err) && time.Since(began) >= patience, err)
	}()
}

// Clock implements hotset.Set, as all methods below.
func (s *prompt) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.AsOf, error) { return s.Set.Clock(ctx, p) })
}

func (s *prompt) Check(ctx context.Context, p int) error {
	_, err := ask(ctx, s, p, longestCall, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Set.Check(ctx, p) })
	return err
}

func (s *prompt) State(ctx context.Context, p int) (task.State, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.State, error) { return s.Set.State(ctx, p) })
}

func (s *prompt) Horizon(ctx context.Context, p int, f task.Feed) (task.Feeding, error) {
	return ask(ctx, s, p, longestRound, func(ctx context.Context) (task.Feeding, error) { return s.Set.Horizon(ctx, p, f) })
}

func (s *prompt) Feed(ctx context.Context, p int, page task.Page) (task.Feeding, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.Feeding, error) { return s.Set.Feed(ctx, p, page) })
}

func (s *prompt) Add(ctx context.Context, p int, a task.Adding) ([]task.Answer, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) ([]task.Answer, error) { return s.Set.Add(ctx, p, a) })
}

func (s *prompt) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.Removed, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.Removed, error) { return s.Set.Remove(ctx, p, token, refs) })
}

func (s *prompt) Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) (task.Batch, error) { return s.Set.Claim(ctx, p, token, limit, lease) })
}

func (s *prompt) Release(ctx context.Context, p int, r task.Release) ([]task.Answer, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) ([]task.Answer, error) { return s.Set.Release(ctx, p, r) })
}

func (s *prompt) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.Reaped, error) {
	return ask(ctx, s, p, longestCall, func(ctx context.Context) ([]task.Reaped, error) { return s.Set.Expired(ctx, p, limit, lease) })
}
