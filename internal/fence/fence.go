// Package fence makes sure that each call to the hot set uses records of the durable store
// that are recent enough for what the call does.
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
	// claimWait is how long a claim waits for usable records. After that it uses the records
	// that it has, because deliveries go on while the durable store is away.
	claimWait = time.Second
	// extendWait is the same for an extension: a lease may be as short as a second.
	extendWait = 200 * time.Millisecond
	// rereadAfter is how old records must be for a claim to read them again after it met a
	// generation that is not current. The next claim comes soon, and would read them again.
	rereadAfter = 200 * time.Millisecond
	// elsewhereWait is how soon a removal looks again whether this server's generation is current.
	elsewhereWait = 200 * time.Millisecond
)

// ErrElsewhere: a removal cannot reach the members that may be offered, because they are on
// another server. The removal has not returned nil to any caller.
var ErrElsewhere = fmt.Errorf("%w: the current hot set is not on the server that this process works with", task.ErrUnavailable)

// Fence is a hotset.Set whose calls follow OneGeneration: the records of the durable store were
// read before each call, and are recent enough for what the call does. The Set refuses a
// call that meets a generation that is not current. The Fence then reads the records again,
// because they may have changed, and makes the call once more.
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
func (f *Fence) Watch(ctx context.Context, w task.Watcher) error { return f.set.Watch(ctx, w) }

// Elect implements hotset.Set.
func (f *Fence) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if err := f.ready(ctx); err != nil {
		return nil, err
	}
	terms, err := f.set.Elect(ctx, holder, term, roles...)
	f.records.Observe(err)
	return terms, err
}

// Heartbeat implements hotset.Set.
func (f *Fence) Heartbeat(ctx context.Context, worker string, report []byte) error {
	if err := f.ready(ctx); err != nil {
		return err
	}
	err := f.set.Heartbeat(ctx, worker, report)
	f.records.Observe(err)
	return err
}

// Workers implements hotset.Set.
func (f *Fence) Workers(ctx context.Context, roles ...task.Role) (task.Roster, error) {
	if err := f.ready(ctx); err != nil {
		return task.Roster{}, err
	}
	all, err := f.set.Workers(ctx, roles...)
	f.records.Observe(err)
	return all, err
}

// ready reads the records if this process has never read them.
func (f *Fence) ready(ctx context.Context) error {
	if _, _, ok := f.records.Last(); ok {
		return nil
	}
	return f.records.Refresh(ctx)
}

// fenced makes a call on partition p. If the call met a generation that is not current, and
// the records have changed meanwhile, fenced makes it once more.
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
		return a, nil // cold, because its generation is not current
	}
	return a, err
}

// State implements hotset.Set. It reads the records again if the partition has a generation that is not current.
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

// Waiting implements hotset.Set.
func (f *Fence) Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error) {
	return fenced(ctx, f, p, func() (task.WaitingCounts, error) { return f.set.Waiting(ctx, p, belowMS...) })
}

// Horizon implements hotset.Set. The Set itself treats a partition whose generation is not current as cold.
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

// Claim needs usable records before it is sent and after it has returned. A generation that is
// announced after they were read cannot begin before the claim returns. So each claimed task is due no
// later than task.MaxAhead after the next generation begins (ClaimAhead). Delete and the feeder rely on that
// (claimedBeforeLoss, feedWhileRegistering).
func (f *Fence) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	if err := f.usable(ctx, p, claimWait); err != nil {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	b, err := f.set.Claim(ctx, p, req)
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
	if err := f.usable(ctx, p, claimWait); err != nil {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	if s := f.records.Partition(p); s.Current.Generation != b.AsOf.Generation {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, task.ErrOther)
	}
	return b, nil
}

// Pause implements hotset.Set.
func (f *Fence) Pause(ctx context.Context, p int) error {
	_, err := fenced(ctx, f, p, func() (struct{}, error) { return struct{}{}, f.set.Pause(ctx, p) })
	return err
}

// Extend implements hotset.Set. Like Claim it needs usable records before it is sent.
func (f *Fence) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	f.records.Use()
	if err := f.usable(ctx, p, extendWait); err != nil {
		return task.ExtendResult{}, fmt.Errorf("extend in partition %d: %w", p, err)
	}
	return fenced(ctx, f, p, func() (task.ExtendResult, error) { return f.set.Extend(ctx, p, h) })
}

// usable returns nil if this process may use the records of partition p (record.Partition). If
// not, it reads them again, for at most timeout. If that fails because the durable store is
// away, the old records are used, unless they have an announcement: a process that does not reach
// the store cannot take over. ErrCold: another server is about to take over.
func (f *Fence) usable(ctx context.Context, p int, timeout time.Duration) error {
	s := f.records.Partition(p)
	if s.Usable || s.Known && (s.Away || s.Current.Generation == 0) && s.Next == (task.Place{}) {
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

// Remove implements hotset.Set. A removal with a token is passed on, because a worker holds
// the members. Without a token the row was deleted before, and Remove returns nil only if no
// server may offer the task: it needs records that are usable, or that it reads, after the row was deleted. If
// the current generation is on another server than the one that answers, Remove waits until
// a generation of this server is current, or ctx ends.
func (f *Fence) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	remove := func() (task.RemoveResult, error) { return f.set.Remove(ctx, p, token, refs) }
	if token != "" {
		r, err := fenced(ctx, f, p, remove)
		if errors.Is(err, task.ErrOther) {
			return task.RemoveResult{AsOf: r.AsOf, Outcomes: make([]task.RemoveOutcome, len(refs))}, nil // the batch is not in the current generation
		}
		return r, err
	}
	var elsewhere error // once the current generation was found on another server
	for {
		r, here, err := f.removeHere(ctx, p, len(refs), remove)
		switch {
		case here && err == nil:
			return r, nil
		case elsewhere != nil && ctx.Err() != nil: // err may only say that ctx has ended
			return r, fmt.Errorf("remove from partition %d: %w", p, elsewhere)
		case err != nil:
			return r, fmt.Errorf("remove from partition %d: %w", p, err)
		}
		elsewhere = fmt.Errorf("%w: that is server %q", ErrElsewhere, f.records.Partition(p).Current.Server)
		wait.For(ctx, elsewhereWait)
	}
}

// RemoveHeld implements hotset.Set. It is passed on, as Remove with a token is.
func (f *Fence) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	_, err := fenced(ctx, f, p, func() (struct{}, error) { return struct{}{}, f.set.RemoveHeld(ctx, p, held) })
	if errors.Is(err, task.ErrOther) {
		return nil // the batches are not in the current generation
	}
	return err
}

// removeHere removes n members that have no row any more, by records that are usable or that it has just read. It reports
// whether the server that answered is the only one that may offer tasks. If not, the caller makes
// the removal again.
func (f *Fence) removeHere(ctx context.Context, p, n int, remove func() (task.RemoveResult, error)) (r task.RemoveResult, here bool, err error) {
	if !f.records.Partition(p).Usable {
		if err := f.records.Refresh(ctx); err != nil {
			return r, false, err
		}
	}
	r, err = fenced(ctx, f, p, remove)
	if err != nil && !errors.Is(err, task.ErrOther) {
		return r, false, err
	}
	if err == nil && r.AsOf.Generation != 0 { // if it is not the current generation, that has changed meanwhile
		return r, r.AsOf.Generation == f.records.Partition(p).Current.Generation, nil
	}
	if here, err = f.here(ctx, p); here {
		r = task.RemoveResult{AsOf: task.AsOf{TimeUS: r.AsOf.TimeUS}, Outcomes: make([]task.RemoveOutcome, n)}
	}
	return r, here, err
}

// here reports whether no server may offer tasks of partition p, which is cold: the current
// generation, if any, was on the server that answers, and the next generation reads only the
// rows that exist when it begins.
func (f *Fence) here(ctx context.Context, p int) (bool, error) {
	st, err := f.set.State(ctx, p)
	if err != nil {
		return false, err
	}
	s := f.records.Partition(p)
	return st.AsOf.Generation == 0 && (s.Current.Generation == 0 || s.Current.On(st.Server)), nil
}
