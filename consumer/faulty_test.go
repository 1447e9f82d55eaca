package consumer_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// faulty is the embedded set with faults in front of it.
type faulty struct {
	*local.Set
	mu         sync.Mutex
	lostClaim  int                   // so many claims happen, but their answers are lost
	slowClaim  time.Duration         // claims happen at once, their answers take that long
	hangs      func(p int) bool      // claims from these partitions do not happen, and have no answer
	slowIn     map[int]time.Duration // the same as slowClaim, of a partition
	readsLate  bool                  // answers to claims have the time at which they are given
	lateClaim  time.Duration         // claims happen that long after they were asked for
	slowRemove time.Duration         // the same as slowClaim of removals
	nameless   bool                  // no removal without a token reaches the set
	deaf       bool                  // nothing reaches the set, and nothing happens
	claims     int                   // so many were tried
	mute       bool                  // extensions happen, their answers are lost; releases do not reach the set
	hung       bool                  // nothing is answered
	aborted    int                   // so many extensions meet a new generation
	lostTasks  bool                  // claims come without their entries
	trip       time.Duration         // a Clock and an Add take that long
	added      []time.Time           // when each Add was answered
	unadded    bool                  // no Add reaches the set but into a batch
	noEntries  bool                  // releases meet members without an entry
	beyond     bool                  // releases with a delay meet a horizon that is not as far
	token      string                // of the last claim
	looked     time.Duration         // the same: how far ahead
	released   func(task.ReleaseRequest)
	releases   int           // so many were tried
	slowReturn time.Duration // the same as slowClaim of releases
}

func (f *faulty) Clock(ctx context.Context, p int) (task.AsOf, error) {
	if err := takes(ctx, f.trip); err != nil {
		return task.AsOf{}, err
	}
	return f.Set.Clock(ctx, p)
}

func (f *faulty) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	if err := takes(ctx, f.trip); err != nil {
		return nil, err
	}
	if f.unadded && a.Token == "" {
		return nil, fmt.Errorf("add: %w", task.ErrUnavailable)
	}
	answers, err := f.Set.Add(ctx, p, a)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.added = append(f.added, time.Now())
	return answers, err
}

// hang waits for as long as its caller does, if nothing is answered.
func (f *faulty) hang(ctx context.Context) error {
	f.mu.Lock()
	hung := f.hung
	f.mu.Unlock()
	if !hung {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%w: %w", task.ErrUnavailable, ctx.Err())
}

func (f *faulty) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if err := f.hang(ctx); err != nil {
		return task.RemoveResult{}, err
	}
	f.mu.Lock()
	slow, fails := f.slowRemove, f.nameless && token == ""
	f.mu.Unlock()
	if fails {
		return task.RemoveResult{}, fmt.Errorf("remove: %w", task.ErrUnavailable)
	}
	r, err := f.Set.Remove(ctx, p, token, refs)
	if late := takes(ctx, slow); late != nil {
		return task.RemoveResult{}, late
	}
	return r, err
}

func (f *faulty) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	f.mu.Lock()
	lost, slow, deaf, bare := f.lostClaim > 0, f.slowClaim, f.deaf, f.lostTasks
	f.lostClaim--
	f.claims++
	f.token, f.looked = req.Token, req.Ahead
	f.mu.Unlock()
	if deaf {
		return task.Batch{}, fmt.Errorf("claim: %w", task.ErrUnavailable)
	}
	if f.hangs != nil && f.hangs(p) {
		<-ctx.Done()
		return task.Batch{}, fmt.Errorf("claim: %w", ctx.Err())
	}
	if f.lateClaim > 0 {
		<-time.After(f.lateClaim)
	}
	b, err := f.Set.Claim(ctx, p, req)
	if slow += f.slowIn[p]; slow > 0 {
		<-time.After(slow)
	}
	if f.readsLate {
		b.ClockUS = time.Now().UnixMicro()
	}
	if lost {
		return task.Batch{}, fmt.Errorf("claim: %w", task.ErrUnavailable)
	}
	if ctx.Err() != nil {
		return task.Batch{}, ctx.Err()
	}
	for i := range b.Claims {
		if bare {
			b.Claims[i] = task.Claim{Entry: task.Entry{Ref: b.Claims[i].Ref}, EntryLost: true}
		}
	}
	return b, err
}

// ahead is how far ahead the last claim looked.
func (f *faulty) ahead() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looked
}

// tried is how many claims were tried.
func (f *faulty) tried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.claims
}

func (f *faulty) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	if err := f.hang(ctx); err != nil {
		return task.ExtendResult{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf {
		return task.ExtendResult{}, fmt.Errorf("extend: %w", task.ErrUnavailable)
	}
	if f.aborted--; f.aborted >= 0 {
		return task.ExtendResult{}, fmt.Errorf("extend: %w", task.ErrAborted)
	}
	e, err := f.Set.Extend(ctx, p, h)
	if f.mute {
		return task.ExtendResult{}, fmt.Errorf("extend: %w", task.ErrUnavailable)
	}
	return e, err
}

func (f *faulty) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	if err := f.hang(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.releases++
	slow := f.slowReturn
	f.mu.Unlock()
	if err := takes(ctx, slow); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		return nil, fmt.Errorf("release: %w", task.ErrUnavailable)
	}
	if f.released != nil {
		f.released(r)
	}
	if f.noEntries {
		return slices.Repeat([]task.ReleaseOutcome{task.ReleaseAbsent}, len(r.Refs)), nil
	}
	if f.beyond && r.Delay > 0 {
		return slices.Repeat([]task.ReleaseOutcome{task.ReleaseBeyond}, len(r.Refs)), nil
	}
	return f.Set.Release(ctx, p, r)
}

// unnamed has removals without a token fail, or reach the set again.
func (f *faulty) unnamed(fail bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nameless = fail
}

func (f *faulty) set(deaf bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = deaf
}
