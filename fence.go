package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// claimWait is how long a claim waits for records that it may rely on; then it goes by
	// what is known, because deliveries go on while the durable store is away.
	claimWait = time.Second
	// extendWait is the same of an extension: a lease may be as short as a second.
	extendWait = 200 * time.Millisecond
	// claimAgain is how recent the records are that a claim does not read again because it met
	// a generation that does not count: it comes again soon.
	claimAgain = 200 * time.Millisecond
	// elsewhereWait is how soon a removal looks again whether this server's generation counts.
	elsewhereWait = 200 * time.Millisecond
)

// errElsewhere: a removal cannot reach what may be offered. After askFor it is tried no more:
// nobody was told nil of it.
var errElsewhere = fmt.Errorf("%w: the hot set that counts is not on the server that this process works with", task.ErrUnavailable)

// fence is a Set whose calls go by the rule OneGeneration: each is made under records that
// have been read, and that are recent enough for what it does. The Set itself refuses what
// meets a generation that does not count; a call that was refused so is made again once the
// records were read again, because they may have changed.
type fence struct {
	hotset.Set
	records *records
	outage  *outage
}

// Elect implements hotset.Set.
func (f *fence) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if err := f.ready(ctx); err != nil {
		return nil, err
	}
	terms, err := f.Set.Elect(ctx, holder, term, roles...)
	f.records.meets(err)
	return terms, err
}

// ready reads the records if that was never done.
func (f *fence) ready(ctx context.Context) error {
	if _, _, ok := f.records.last(); ok {
		return nil
	}
	return f.records.now(ctx)
}

// fenced makes a call on partition p, and once more if it met a generation that does not
// count and the records have changed since they were read.
func fenced[R any](ctx context.Context, f *fence, p int, call func() (R, error)) (R, error) {
	var none R
	if err := f.ready(ctx); err != nil {
		return none, err
	}
	before := f.records.of(p).Counts
	r, err := call()
	f.records.meets(err)
	if !errors.Is(err, task.ErrOther) {
		return r, err
	}
	if err := f.records.now(ctx); err != nil {
		return none, err
	}
	if f.records.of(p).Counts == before {
		return r, err
	}
	return call()
}

// Check implements hotset.Set.
func (f *fence) Check(ctx context.Context, p int) error {
	if err := f.ready(ctx); err != nil {
		return err
	}
	err := f.Set.Check(ctx, p)
	f.records.meets(err)
	return err
}

// Clock implements hotset.Set. A generation that does not count is no generation: its time is
// that of a cold partition.
func (f *fence) Clock(ctx context.Context, p int) (task.AsOf, error) {
	a, err := fenced(ctx, f, p, func() (task.AsOf, error) { return f.Set.Clock(ctx, p) })
	if errors.Is(err, task.ErrOther) {
		return a, nil // cold, as the generation that is there does not count
	}
	return a, err
}

// State implements hotset.Set. It reads the records again if the generation that is there does not count.
func (f *fence) State(ctx context.Context, p int) (task.State, error) {
	if err := f.ready(ctx); err != nil {
		return task.State{}, err
	}
	st, err := f.Set.State(ctx, p)
	f.records.meets(err)
	if err != nil || !st.Other {
		return st, err
	}
	if err := f.records.now(ctx); err != nil {
		return task.State{}, err
	}
	return f.Set.State(ctx, p)
}

// Horizon implements hotset.Set. It takes a generation that does not count for a cold partition itself.
func (f *fence) Horizon(ctx context.Context, p int, w task.HorizonRequest) (task.PartitionStatus, error) {
	if err := f.ready(ctx); err != nil {
		return task.PartitionStatus{}, err
	}
	st, err := f.Set.Horizon(ctx, p, w)
	f.records.meets(err)
	return st, err
}

// Feed implements hotset.Set.
func (f *fence) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return fenced(ctx, f, p, func() (task.PartitionStatus, error) { return f.Set.Feed(ctx, p, page) })
}

// Add implements hotset.Set.
func (f *fence) Add(ctx context.Context, p int, a task.AddRequest) ([]task.Answer, error) {
	return fenced(ctx, f, p, func() ([]task.Answer, error) { return f.Set.Add(ctx, p, a) })
}

// Release implements hotset.Set.
func (f *fence) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.Answer, error) {
	return fenced(ctx, f, p, func() ([]task.Answer, error) { return f.Set.Release(ctx, p, r) })
}

// Find implements hotset.Set.
func (f *fence) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return fenced(ctx, f, p, func() ([]task.FindResult, error) { return f.Set.Find(ctx, p, refs) })
}

// Expired implements hotset.Set.
func (f *fence) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return fenced(ctx, f, p, func() ([]task.ExpiredBatch, error) { return f.Set.Expired(ctx, p, limit, lease) })
}

// Claim claims under records that may be relied upon before and after: what was announced
// after they were read is not settled yet when it returns. So all that is claimed is due
// before a generation begins that may take its place, and Delete knows of it.
func (f *fence) Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error) {
	if err := f.rely(ctx, p, claimWait); err != nil {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	b, err := f.Set.Claim(ctx, p, token, limit, lease)
	f.records.meets(err)
	f.outage.note(p, err)
	if errors.Is(err, task.ErrOther) {
		if s := f.records.of(p); s.age > claimAgain {
			return b, errors.Join(err, f.records.now(ctx))
		}
		return b, err
	}
	if err != nil || len(b.Claims) == 0 {
		return b, err
	}
	f.records.use()
	if err := f.rely(ctx, p, claimWait); err != nil {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	if s := f.records.of(p); s.Counts.Generation != b.AsOf.Generation {
		return task.Batch{}, fmt.Errorf("claim from partition %d: %w", p, task.ErrOther)
	}
	return b, nil
}

func (f *fence) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	f.records.use()
	if err := f.rely(ctx, p, extendWait); err != nil {
		return task.ExtendResult{}, fmt.Errorf("extend in partition %d: %w", p, err)
	}
	return fenced(ctx, f, p, func() (task.ExtendResult, error) { return f.Set.Extend(ctx, p, h) })
}

// rely sees to it that what is known of partition p may be relied upon, by reading it again
// for at most wait. Where it cannot be read, because the durable store is away, what is known
// is gone by, for nobody can take over meanwhile that does not reach the store; but not once
// something is announced. ErrCold: another server is about to take over.
func (f *fence) rely(ctx context.Context, p int, wait time.Duration) error {
	s := f.records.of(p)
	if s.relied || s.known && (s.away || s.Counts.Generation == 0) && s.Next == (task.Place{}) {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := f.records.now(short)
	if s = f.records.of(p); err != nil && s.known && s.Next == (task.Place{}) && !errors.Is(err, ErrMismatch) {
		f.records.late()
		return nil
	}
	if err != nil {
		return err
	}
	if s.Next != (task.Place{}) {
		return fmt.Errorf("%w: server %q is about to take over from %q", task.ErrCold, s.Next.Server, s.Counts.Server)
	}
	return nil
}

// Remove removes what a worker holds as it is. Without a token the row was deleted before,
// and its caller is told nil only if no server may offer it: it goes by records that may be
// relied upon after the row was deleted. If the generation that counts is on another server
// than the one that answers, it waits until one of this server counts, or ctx ends.
func (f *fence) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	remove := func() (task.RemoveResult, error) { return f.Set.Remove(ctx, p, token, refs) }
	if token != "" {
		r, err := fenced(ctx, f, p, remove)
		if errors.Is(err, task.ErrOther) {
			return task.RemoveResult{AsOf: r.AsOf, Answers: make([]task.Answer, len(refs))}, nil // its batch is not there
		}
		return r, err
	}
	var elsewhere error // once the generation that counts was found on another server
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
		elsewhere = fmt.Errorf("%w: that is server %q", errElsewhere, f.records.of(p).Counts.Server)
		wait.For(ctx, elsewhereWait)
	}
}

// removeHere makes a removal of n members that have no row any more, under records that may be relied
// upon, and reports whether this server holds all that may be offered. If it does not the
// removal is to be made again.
func (f *fence) removeHere(ctx context.Context, p, n int, remove func() (task.RemoveResult, error)) (r task.RemoveResult, here bool, err error) {
	if !f.records.of(p).relied {
		if err := f.records.now(ctx); err != nil {
			return r, false, err
		}
	}
	r, err = fenced(ctx, f, p, remove)
	if err != nil && !errors.Is(err, task.ErrOther) {
		return r, false, err
	}
	if err == nil && r.AsOf.Generation != 0 { // if it is not the one that counts, that has changed meanwhile
		return r, r.AsOf.Generation == f.records.of(p).Counts.Generation, nil
	}
	if here, err = f.here(ctx, p); here {
		r = task.RemoveResult{AsOf: task.AsOf{TimeUS: r.AsOf.TimeUS}, Answers: make([]task.Answer, n)}
	}
	return r, here, err
}

// here reports whether a cold partition p holds all that may be offered, which is nothing:
// the generation that counts, if any, was on the server that answers, and the next one reads
// the rows that stand when it begins.
func (f *fence) here(ctx context.Context, p int) (bool, error) {
	st, err := f.Set.State(ctx, p)
	if err != nil {
		return false, err
	}
	s := f.records.of(p)
	return st.AsOf.Generation == 0 && (s.Counts.Generation == 0 || s.Counts.On(st.Server)), nil
}
