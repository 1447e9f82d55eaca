// Package fence makes calls to the hot set under records that are recent enough for what
// each call does.
package fence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// claimWait is how long a claim waits for records that it may rely on; then it goes by
	// what is known, because deliveries go on while the durable store is away.
	claimWait = time.Second
	// extendWait is the same of an extension: a lease may be as short as a second.
	extendWait = 200 * time.Millisecond
	// rereadAfter is how old the records are that a claim reads again because it met a
	// generation that is not current. The next claim comes soon.
	rereadAfter = 200 * time.Millisecond
	// elsewhereWait is how soon a removal looks again whether this server's generation is current.
	elsewhereWait = 200 * time.Millisecond
)

// ErrElsewhere: a removal cannot reach the members that may be offered, because they are on
// another server. No caller was told nil of it.
var ErrElsewhere = fmt.Errorf("%w: the current hot set is not on the server that this process works with", task.ErrUnavailable)

// Fence is a hotset.Set whose calls follow OneGeneration: each call is made under records
// that were read, and that are recent enough for what the call does. The Set refuses a call
// that meets a generation that is not current. The Fence then reads the records again, because
// they may have changed, and makes the call once more.
type Fence struct {
	set     hotset.Set
	records *record.Reader
	outage  *record.Outage
}

var _ hotset.Set = (*Fence)(nil)

// Wrap returns a Fence around set, which notes in outage the partitions that do not answer.
func Wrap(set hotset.Set, records *record.Reader, outage *record.Outage) *Fence {
	return &Fence{set: set, records: records, outage: outage}
}

// Config implements hotset.Set.
func (f *Fence) Config() hotset.Config { return f.set.Config() }

// Expect implements hotset.Set.
func (f *Fence) Expect(e task.Expected) error { return f.set.Expect(e) }

// Watch implements hotset.Set.
func (f *Fence) Watch(ctx context.Context, wake chan<- struct{}) error { return f.set.Watch(ctx, wake) }

// Elect implements hotset.Set.
func (f *Fence) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if err := f.ready(ctx); err != nil {
		return nil, err
	}
	terms, err := f.set.Elect(ctx, holder, term, roles...)
	f.records.Observe(err)
	return terms, err
}

// ready reads the records if that was never done.
func (f *Fence) ready(ctx context.Context) error {
	if _, _, ok := f.records.Last(); ok {
		return nil
	}
	return f.records.Refresh(ctx)
}

// fenced makes a call on partition p, and once more if it met a generation that does not
// count and the records have changed since they were read.
func fenced[R any](ctx context.Context, f *Fence, p int, call func() (R, error)) (R, error) {
	var none R
	if err := f.ready(ctx); err != nil {
		return none, err
	}
	before := f.records.Partition(p).Current
	r, err := call()
	f.records.Observe(err)
	if !errors.Is(err, task.ErrOther) {
		return r, err
	}
	if err := f.records.Refresh(ctx); err != nil {
		return none, err
	}
	if f.records.Partition(p).Current == before {
		return r, err
	}
	return call()
}

// Check implements hotset.Set.
func (f *Fence) Check(ctx context.Context, p int) error {
	if err := f.ready(ctx); err != nil {
		return err
	}
	err := f.set.Check(ctx, p)
	f.records.Observe(err)
	return err
}

// Clock implements hotset.Set. A generation that is not current is no generation: its time is
// that of a cold partition.
func (f *Fence) Clock(ctx context.Context, p int) (task.AsOf, error) {
	a, err := fenced(ctx, f, p, func() (task.AsOf, error) { return f.set.Clock(ctx, p) })
	if errors.Is(err, task.ErrOther) {
		return a, nil // cold, as the generation that is there does not count
	}
	return a, err
}

// State implements hotset.Set. It reads the records again if the generation that is there does not count.
func (f *Fence) State(ctx context.Context, p int) (task.State, error) {
	if err := f.ready(ctx); err != nil {
		return task.State{}, err
	}
	st, err := f.set.State(ctx, p)
	f.records.Observe(err)
	if err != nil || !st.Other {
		return st, err
	}
	if err := f.records.Refresh(ctx); err != nil {
		return task.State{}, err
	}
	return f.set.State(ctx, p)
}

// Horizon implements hotset.Set. It takes a generation that is not current for a cold partition itself.
func (f *Fence) Horizon(ctx context.Context, p int, w task.HorizonRequest) (task.PartitionStatus, error) {
	if err := f.ready(ctx); err != nil {
		return task.PartitionStatus{}, err
	}
	st, err := f.set.Horizon(ctx, p, w)
	f.records.Observe(err)
	return st, err
}

// Feed implements hotset.Set.
func (f *Fence) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return fenced(ctx, f, p, func() (task.PartitionStatus, error) { return f.set.Feed(ctx, p, page) })
}

// Add implements hotset.Set.
func (f *Fence) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	return fenced(ctx, f, p, func() ([]task.AddOutcome, error) { return f.set.Add(ctx, p, a) })
}

// Release implements hotset.Set.
func (f *Fence) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return fenced(ctx, f, p, func() ([]task.ReleaseOutcome, error) { return f.set.Release(ctx, p, r) })
}

// Find implements hotset.Set.
func (f *Fence) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return fenced(ctx, f, p, func() ([]task.FindResult, error) { return f.set.Find(ctx, p, refs) })
}

// Expired implements hotset.Set.
func (f *Fence) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return fenced(ctx, f, p, func() ([]task.ExpiredBatch, error) { return f.set.Expired(ctx, p, limit, lease) })
}

// Claim claims under records that may be relied upon before the claim and after it. A generation
// that is announced after they were read cannot begin before the claim returns. So each claimed
// task is due before the next generation begins. Delete relies on that (claimedBeforeLoss).
func (f *Fence) Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error) {
	if err := f.rely(ctx, p, claimWait); err != nil {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	b, err := f.set.Claim(ctx, p, token, limit, lease)
	f.records.Observe(err)
	f.outage.Note(p, err)
	if errors.Is(err, task.ErrOther) {
		if s := f.records.Partition(p); s.Age > rereadAfter {
			return b, errors.Join(err, f.records.Refresh(ctx))
		}
		return b, err
	}
	if err != nil || len(b.Claims) == 0 {
		return b, err
	}
	f.records.Use()
	if err := f.rely(ctx, p, claimWait); err != nil {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	if s := f.records.Partition(p); s.Current.Generation != b.AsOf.Generation {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, task.ErrOther)
	}
	return b, nil
}

// Extend implements hotset.Set. Like Claim it needs records that may be relied upon, before it is sent.
func (f *Fence) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	f.records.Use()
	if err := f.rely(ctx, p, extendWait); err != nil {
		return task.ExtendResult{}, fmt.Errorf("extend in partition %d: %w", p, err)
	}
	return fenced(ctx, f, p, func() (task.ExtendResult, error) { return f.set.Extend(ctx, p, h) })
}

// rely returns nil if what is known of partition p may be relied upon; if not, it reads the
// records again, for at most timeout. If they cannot be read because the durable store is
// away, it goes by what is known: no process can take over that does not reach the store. But
// it does not once something is announced. ErrCold: another server is about to take over.
func (f *Fence) rely(ctx context.Context, p int, timeout time.Duration) error {
	s := f.records.Partition(p)
	if s.Relied || s.Known && (s.Away || s.Current.Generation == 0) && s.Next == (task.Place{}) {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := f.records.Refresh(short)
	if s = f.records.Partition(p); err != nil && s.Known && s.Next == (task.Place{}) && !errors.Is(err, task.ErrMismatch) {
		f.records.NoteLate()
		return nil
	}
	if err != nil {
		return err
	}
	if s.Next != (task.Place{}) {
		return fmt.Errorf("%w: server %q is about to take over from %q", task.ErrCold, s.Next.Server, s.Current.Server)
	}
	return nil
}

// Remove implements hotset.Set. A removal with a token is passed on: a worker holds the
// members. Without a token the row was deleted before, and the answer is nil only if no server
// may offer the task: the removal needs records that may be relied upon after the row was
// deleted. If the current generation is on another server than the one that answers,
// Remove waits until a generation of this server counts, or ctx ends.
func (f *Fence) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	remove := func() (task.RemoveResult, error) { return f.set.Remove(ctx, p, token, refs) }
	if token != "" {
		r, err := fenced(ctx, f, p, remove)
		if errors.Is(err, task.ErrOther) {
			return task.RemoveResult{AsOf: r.AsOf, Outcomes: make([]task.RemoveOutcome, len(refs))}, nil // its batch is not there
		}
		return r, err
	}
	var elsewhere error // once the current generation was found on another server
	for {
		r, here, err := f.removeHere(ctx, p, len(refs), remove)
		switch {
		case here && err == nil:
			return r, nil
		case elsewhere != nil && ctx.Err() != nil: // a look that ctx has cut off tells less
			return r, fmt.Errorf("remove from partition %d: %w", p, elsewhere)
		case err != nil:
			return r, fmt.Errorf("remove from partition %d: %w", p, err)
		}
		elsewhere = fmt.Errorf("%w: that is server %q", ErrElsewhere, f.records.Partition(p).Current.Server)
		wait.For(ctx, elsewhereWait)
	}
}

// removeHere makes a removal of n members that have no row any more, under records that may be relied
// upon, and reports whether this server holds all that may be offered. If it does not the
// removal is to be made again.
func (f *Fence) removeHere(ctx context.Context, p, n int, remove func() (task.RemoveResult, error)) (r task.RemoveResult, here bool, err error) {
	if !f.records.Partition(p).Relied {
		if err := f.records.Refresh(ctx); err != nil {
			return r, false, err
		}
	}
	r, err = fenced(ctx, f, p, remove)
	if err != nil && !errors.Is(err, task.ErrOther) {
		return r, false, err
	}
	if err == nil && r.AsOf.Generation != 0 { // if it is not the current one, that has changed meanwhile
		return r, r.AsOf.Generation == f.records.Partition(p).Current.Generation, nil
	}
	if here, err = f.here(ctx, p); here {
		r = task.RemoveResult{AsOf: task.AsOf{TimeUS: r.AsOf.TimeUS}, Outcomes: make([]task.RemoveOutcome, n)}
	}
	return r, here, err
}

// here reports whether a cold partition p holds all that may be offered, which is nothing:
// the current generation, if any, was on the server that answers, and the next one reads
// the rows that stand when it begins.
func (f *Fence) here(ctx context.Context, p int) (bool, error) {
	st, err := f.set.State(ctx, p)
	if err != nil {
		return false, err
	}
	s := f.records.Partition(p)
	return st.AsOf.Generation == 0 && (s.Current.Generation == 0 || s.Current.On(st.Server)), nil
}
