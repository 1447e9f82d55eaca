package hotset

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Horizon implements Set.
func (r *Redis) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	a, err := r.run(ctx, p, "horizon", nil, f.Epoch, f.HorizonMS, f.Limit, 0, "")
	for range maxWipes {
		if !errors.Is(err, task.ErrCold) || f.Look {
			break
		}
		a, err = r.begin(ctx, p, f)
	}
	if errors.Is(err, task.ErrCold) {
		return task.PartitionStatus{AsOf: a.asOf, Server: a.str()}, errors.Join(err, a.err)
	}
	if err != nil {
		return task.PartitionStatus{}, err
	}
	s, waiting := a.status(), int(a.int())
	s.New = a.int() == 1
	s.Server = a.str()
	if a.err != nil || s.Members < f.Limit {
		return s, a.err
	}
	if s.Members-waiting >= f.Limit { // the members that do not wait fill the partition alone
		if dropped, err := r.dropOrphans(ctx, p); dropped || err != nil {
			return s, err // the next round sees what is left
		}
	}
	if s.Members == f.Limit {
		return s, nil
	}
	return r.retreat(ctx, p, f, s)
}

// maxWipes is how many times one Horizon ends up to 1000 batches before it begins a
// generation. If batches are left it answers ErrCold, and the next Horizon goes on.
const maxWipes = 1000

// begin ends batches of the old generation, and begins a new one if none is left.
func (r *Redis) begin(ctx context.Context, p int, f task.HorizonRequest) (*reply, error) {
	tokens, err := await(ctx, r.gate, true, func() ([]string, error) { return r.rdb.ZRange(ctx, r.keys[p].lease(), 0, chunk-1).Result() })
	if err != nil {
		return &reply{}, r.typed("list leases", p, err)
	}
	generation := f.Generation
	if generation == 0 {
		generation = NewGeneration()
	}
	args := []any{f.Epoch, f.HorizonMS, f.Limit, generation, f.Server}
	for _, t := range tokens {
		args = append(args, t)
	}
	return r.run(ctx, p, "horizon", r.batches(p, tokens), args...)
}

// retreat drops members until the partition is within its limit, in at most 100 calls: the
// next Horizon goes on.
func (r *Redis) retreat(ctx context.Context, p int, f task.HorizonRequest, s task.PartitionStatus) (task.PartitionStatus, error) {
	var skip int64
	before := s.HorizonMS
	for range 100 {
		a, err := r.run(ctx, p, "retreat", nil, s.AsOf.Generation, f.Epoch, f.Limit, skip)
		if err != nil {
			return s, err
		}
		server := s.Server
		s = a.status()
		s.Server = server
		s.Retreated = s.HorizonMS < before
		kept, dropped := a.int(), a.int()
		skip += kept
		if a.err != nil || kept+dropped < chunk || s.Members <= f.Limit {
			return s, a.err
		}
	}
	return s, nil
}

// orphansEvery is how often orphans are looked for in a partition at most: that reads all that the partition holds.
const orphansEvery = 5 * time.Second

// dropOrphans drops the entries of orphans (task.FindOrphan), and reports whether there were any. An
// orphan has an entry, but neither waits nor is in a batch that has a lease, because Redis lost the key
// that had it. It still counts as a member, so a partition that is full of orphans would add
// nothing more for good: the horizon stays where it is, and the auditor would not add the
// late rows, because they lie beyond it.
func (r *Redis) dropOrphans(ctx context.Context, p int) (bool, error) {
	r.mu.Lock()
	recent := time.Since(r.orphansAt[p]) < orphansEvery
	if !recent {
		r.orphansAt[p] = time.Now()
	}
	r.mu.Unlock()
	if recent {
		return false, nil
	}
	tokens, err := r.leases(ctx, p)
	if err != nil {
		return false, err
	}
	claimed, err := r.claimed(ctx, p, tokens)
	if err != nil {
		return false, err
	}
	some := false
	for cursor := "0"; ; {
		a, err := r.run(ctx, p, "sweep", nil, cursor, membersPage)
		if err != nil {
			return some, err
		}
		cursor = a.str()
		members := a.strs()
		if a.err != nil {
			return some, a.err
		}
		n, err := r.dropOrphansOf(ctx, p, members, claimed)
		if some = some || n > 0; err != nil || cursor == "0" {
			return some, err
		}
	}
}

// dropOrphansOf has Find drop the entries of those members that are orphans, and returns how many there were.
func (r *Redis) dropOrphansOf(ctx context.Context, p int, members []string, claimed map[string]bool) (n int, err error) {
	var refs []task.Ref
	for _, m := range members {
		if claimed[m] {
			continue
		}
		ref, err := parseMember(m)
		if err != nil {
			return 0, err
		}
		refs = append(refs, ref)
	}
	found, err := r.Find(ctx, p, refs)
	for _, f := range found {
		if f.Outcome == task.FindOrphan {
			n++
		}
	}
	return n, err
}
