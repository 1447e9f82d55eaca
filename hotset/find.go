package hotset

import (
	"context"
	"errors"

	"github.com/triggerhook/triggerhook/task"
)

// again is the answer of find.lua that leases changed since they were listed.
const again = 7

// maxLeases is the most batches of a partition that Find looks through.
const maxLeases = 4000

// findWork bounds members times leases of one call, by which it costs.
const findWork = 50_000

// Find implements Set. Leases are listed first and the script checks the list, as
// scripts touch no key that was not named; after three lists that were outdated
// at once, a member with a record counts as claimed.
func (r *Redis) Find(ctx context.Context, p int, refs []task.Ref) ([]task.Found, error) {
	found := make([]task.Found, len(refs))
	open := make([]int, len(refs))
	for i := range refs {
		open[i] = i
	}
	for range 3 {
		var err error
		if open, err = r.findSome(ctx, p, refs, open, found); err != nil || len(open) == 0 {
			return found, err
		}
	}
	for _, i := range open {
		found[i] = task.Found{Answer: task.Claimed}
	}
	return found, nil
}

// findSome asks once about the refs of these indices and returns those whose
// answer is open.
func (r *Redis) findSome(ctx context.Context, p int, refs []task.Ref, index []int, found []task.Found) ([]int, error) {
	a, err := r.run(ctx, p, "leases", nil, maxLeases, -1)
	if errors.Is(err, task.ErrCold) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tokens := a.strs()
	args := []any{len(tokens)}
	for _, t := range tokens {
		args = append(args, t)
	}
	step := min(300, max(1, findWork/(len(tokens)+1)))
	var open []int
	for start := 0; start < len(index); start += step {
		part := index[start:min(start+step, len(index))]
		ask := make([]task.Ref, len(part))
		for k, i := range part {
			ask[k] = refs[i]
		}
		a, err := r.run(ctx, p, "find", r.batches(p, tokens), appendMembers(args, ask)...)
		if errors.Is(err, task.ErrCold) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, i := range part {
			found[i] = task.Found{Answer: task.Answer(a.int()), NextMS: a.int(), Attempt: int(a.int())}
			if found[i].Answer == again {
				open = append(open, i)
			}
		}
		if a.err != nil {
			return nil, a.err
		}
	}
	return open, nil
}
