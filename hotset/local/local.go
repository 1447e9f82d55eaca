// Package local is the embedded hotset.Set: it lives in this process and ends
// with it. Its clock is time.Now, or Options.Now.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// Options of New.
type Options struct {
	Namespace  string // task.DefaultNamespace if empty
	Partitions int    // 1 to hotset.MaxPartitions, 1 if zero
	// Now is the clock of the Set, in whole milliseconds: a test moves it by hand (package triggerhooktest). It
	// never steps back, and any number of goroutines may call it. Nil: time.Now.
	Now func() time.Time
}

// Set is a hotset.Set in memory. Each partition has a lock of its own, and the waiting
// members are in a heap, so the cost of a call is the number of members that it names times
// log n.
type Set struct {
	config hotset.Config
	server string // its own identity: this process and this Set
	now    func() time.Time
	parts  []*partition

	mu       sync.Mutex
	expected task.Expected
	terms    map[task.Role]term
	workers  map[string]told
	asked    time.Time // since when a process asks for the workers
	watched  time.Time // until when
	watchers map[*task.Watcher]struct{}
}

// New returns an empty Set. It starts nothing, and there is nothing to close. The
// error matches task.ErrInvalid.
func New(o Options) (*Set, error) {
	if o.Namespace == "" {
		o.Namespace = task.DefaultNamespace
	}
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	err := task.CheckNamespace(o.Namespace)
	if o.Partitions < 1 || o.Partitions > hotset.MaxPartitions {
		err = errors.Join(err, fmt.Errorf("%w: %d partitions, 1 to %d are allowed", task.ErrInvalid, o.Partitions, hotset.MaxPartitions))
	}
	if err != nil {
		return nil, fmt.Errorf("new local set: %w", err)
	}
	s := &Set{config: hotset.Config{Namespace: o.Namespace, Partitions: o.Partitions, InProcess: true}, server: "local-" + rand.Text(), terms: map[task.Role]term{}, workers: map[string]told{}, watchers: map[*task.Watcher]struct{}{}, now: o.Now}
	round := time.Millisecond - 1
	if s.now == nil {
		s.now, round = time.Now, time.Millisecond
	}
	for range o.Partitions {
		s.parts = append(s.parts, &partition{wake: s.wake, server: s.server, clock: s.now, round: round})
	}
	return s, nil
}

var _ hotset.Set = (*Set)(nil)

// Config implements hotset.Set: it is in process.
func (s *Set) Config() hotset.Config { return s.config }

// on runs f with partition p locked, unless ctx has ended.
func on[R any](ctx context.Context, s *Set, p int, act string, f func(*partition) (R, error)) (R, error) {
	if err := ctx.Err(); err != nil {
		var none R
		return none, err
	}
	part := s.parts[p]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.tick()
	var r R
	var err error
	if part.other = part.generation != 0 && !s.isCurrent(p, part.generation); part.other && act != "horizon" && act != "state" {
		err = task.ErrOther
	}
	if err == nil {
		r, err = f(part)
	}
	if err != nil {
		err = fmt.Errorf("%s in partition %d: %w", act, p, err)
	}
	return r, err
}

// isCurrent reports whether a generation of partition p is current. Any is, before Expect was called.
func (s *Set) isCurrent(p int, generation int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expected.Identity == "" || s.expected.Generations[p] == generation
}

// Expect implements hotset.Set. The Set refuses a second identity, so no partition can belong to
// another durable store.
func (s *Set) Expect(e task.Expected) error {
	if err := hotset.CheckExpected(s.config, e); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expected.Identity != "" && s.expected.Identity != e.Identity {
		return fmt.Errorf("expect: %w: this set belongs to the durable store with identity %s, and not to that of identity %s",
			task.ErrMismatch, s.expected.Identity, e.Identity)
	}
	e.Pause = e.Pause.Newest(s.expected.Pause)
	s.expected = e
	return nil
}

// Clock implements hotset.Set.
func (s *Set) Clock(ctx context.Context, p int) (task.AsOf, error) {
	at, err := on(ctx, s, p, "clock", func(p *partition) (task.AsOf, error) { return p.asOf(), nil })
	if errors.Is(err, task.ErrOther) {
		at.TimeUS = s.now().UnixMicro()
	}
	return at, err
}

// Check implements hotset.Set. This process may do all that it does.
func (s *Set) Check(ctx context.Context, _ int) error { return ctx.Err() }

// State implements hotset.Set. No worker can still have what was claimed before this process
// began, so StartMS of the first generation is 0.
func (s *Set) State(ctx context.Context, p int) (task.State, error) {
	s.mu.Lock()
	watchers := len(s.watchers)
	s.mu.Unlock()
	return on(ctx, s, p, "state", func(p *partition) (task.State, error) {
		st := p.state()
		st.Server, st.Other, st.Watchers = s.server, p.other, watchers
		return st, nil
	})
}

// Waiting implements hotset.Set.
func (s *Set) Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error) {
	if err := task.CheckTimes(belowMS); err != nil {
		return task.WaitingCounts{}, fmt.Errorf("waiting in partition %d: %w", p, err)
	}
	return on(ctx, s, p, "waiting", func(p *partition) (task.WaitingCounts, error) {
		if p.generation == 0 {
			return task.WaitingCounts{}, task.ErrCold
		}
		c := task.WaitingCounts{AsOf: p.asOf(), Loaded: p.loaded, Counts: make([]int64, len(belowMS))}
		for i, ms := range belowMS {
			c.Counts[i] = p.due.countUpTo(ms - 1)
		}
		return c, nil
	})
}

// Horizon implements hotset.Set. No task can be in flight from before this process, so ReadyMS
// of the first generation is its StartMS.
func (s *Set) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	quiet := false
	st, err := on(ctx, s, p, "horizon", func(p *partition) (st task.PartitionStatus, err error) {
		st, err = p.raise(f)
		quiet = err == nil && !st.New && (p.due.len() == 0 || p.next() > p.now.Add(task.QuietFor).UnixMilli())
		return st, err
	})
	if quiet {
		s.tellQuiet(p)
	}
	st.Server = s.server
	return st, err
}

// Feed implements hotset.Set.
func (s *Set) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return on(ctx, s, p, "feed", func(p *partition) (task.PartitionStatus, error) { return p.feed(page) })
}

// Add implements hotset.Set.
func (s *Set) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	return on(ctx, s, p, "add", func(p *partition) ([]task.AddOutcome, error) {
		if err := p.checkAsOf(a.AsOf); err != nil {
			return nil, err
		}
		if a.Token != "" {
			return p.register(a), nil
		}
		return p.add(a.Entries), nil
	})
}

// Remove implements hotset.Set.
func (s *Set) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	var told []task.Ref
	got, err := on(ctx, s, p, "remove", func(p *partition) (r task.RemoveResult, err error) {
		r.Outcomes, told = p.remove(token, refs)
		r.AsOf = p.asOf()
		return r, nil
	})
	s.tellRemoved(p, told)
	return got, err
}

// RemoveHeld implements hotset.Set.
func (s *Set) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	var told []task.Ref
	_, err := on(ctx, s, p, "remove", func(p *partition) (none struct{}, err error) {
		for _, h := range held {
			_, others := p.remove(h.Token, h.Refs)
			told = append(told, others...)
		}
		return none, nil
	})
	s.tellRemoved(p, told)
	return err
}

// Claim implements hotset.Set.
func (s *Set) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	s.mu.Lock()
	pause := s.expected.Pause
	s.mu.Unlock()
	return on(ctx, s, p, "claim", func(p *partition) (task.Batch, error) { return p.claim(req, pause) })
}

// Pause implements hotset.Set. What Expect was told counts already.
func (s *Set) Pause(ctx context.Context, p int) error {
	_, err := on(ctx, s, p, "pause", func(p *partition) (none struct{}, err error) {
		if p.generation == 0 {
			return none, task.ErrCold
		}
		p.wake()
		return none, nil
	})
	return err
}

// Extend implements hotset.Set.
func (s *Set) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	return on(ctx, s, p, "extend", func(p *partition) (task.ExtendResult, error) { return p.extend(h) })
}

// Release implements hotset.Set.
func (s *Set) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return on(ctx, s, p, "release", func(p *partition) ([]task.ReleaseOutcome, error) { return p.release(r) })
}

// Find implements hotset.Set.
func (s *Set) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	found := make([]task.FindResult, len(refs))
	_, err := on(ctx, s, p, "find", func(p *partition) (none struct{}, err error) {
		for i, ref := range refs {
			found[i] = p.find(ref)
		}
		return none, nil
	})
	if err != nil && !errors.Is(err, task.ErrCold) {
		return nil, err
	}
	return found, nil
}

// Expired implements hotset.Set.
func (s *Set) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	all, err := on(ctx, s, p, "leases", func(p *partition) ([]task.ExpiredBatch, error) { return p.expired(limit, lease), nil })
	if errors.Is(err, task.ErrCold) {
		return nil, nil
	}
	return all, err
}

// Watch implements hotset.Set.
func (s *Set) Watch(ctx context.Context, w task.Watcher) error {
	s.mu.Lock()
	s.watchers[&w] = struct{}{}
	s.mu.Unlock()
	s.wake()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watchers, &w)
	return nil
}

// wake is called under a partition's lock.
func (s *Set) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		select {
		case w.Wake <- struct{}{}:
		default:
		}
	}
}

// tellRemoved tells all watchers of members of partition p that were removed while a caller had claimed them.
func (s *Set) tellRemoved(p int, refs []task.Ref) {
	if len(refs) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		if w.Removed != nil {
			w.Removed(p, refs)
		}
	}
}

// tellQuiet tells all watchers that nothing is to be offered in partition p for task.QuietFor.
func (s *Set) tellQuiet(p int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		if w.Quiet != nil {
			w.Quiet(p)
		}
	}
}

func copyEntry(e task.Entry) task.Entry {
	if e.External {
		e.Payload, e.Headers = nil, ""
	}
	e.Payload = slices.Clone(e.Payload)
	return e
}
