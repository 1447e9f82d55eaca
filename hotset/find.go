package hotset

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// maxLeases is the most batches of a partition that Find looks through; where
// there are more, a member that has an entry and does not wait counts as claimed.
const maxLeases = 20_000

// findWork bounds members times leases of one script, by which it costs.
const findWork = 50_000

// Find implements Set. It lists the leases first, and the script checks the list, because a
// script touches no key that was not named. If three lists are outdated when the script
// runs, a member with an entry counts as claimed.
//
// Many members times many leases are too much for one script. Then Find first reads the
// batches whole, outside of scripts. The script that names all batches looks only for the
// members that have an entry and are in none of the batches.
func (r *Redis) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	found := make([]task.FindResult, len(refs))
	unknown := make([]int, len(refs))
	for i := range refs {
		unknown[i] = i
	}
	for range 3 {
		var err error
		if unknown, err = r.findSome(ctx, p, refs, unknown, found); err != nil || len(unknown) == 0 {
			return found, err
		}
	}
	for _, i := range unknown {
		found[i].Outcome = task.FindClaimed
	}
	return found, nil
}

// findSome asks once about the refs of these indices, and returns the indices of those
// that have no answer yet.
func (r *Redis) findSome(ctx context.Context, p int, refs []task.Ref, index []int, found []task.FindResult) ([]int, error) {
	tokens, err := r.leases(ctx, p)
	if errors.Is(err, task.ErrCold) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(index)*len(tokens) > findWork {
		if index, err = r.siftClaimed(ctx, p, refs, index, tokens, found); err != nil {
			return nil, err
		}
	}
	return r.ask(ctx, p, refs, index, tokens, found)
}

// siftClaimed answers for all refs except those that have an entry and are in no batch. It
// returns the indices of these.
func (r *Redis) siftClaimed(ctx context.Context, p int, refs []task.Ref, index []int, tokens []string, found []task.FindResult) ([]int, error) {
	claimed, err := r.claimed(ctx, p, tokens)
	if err != nil {
		return nil, err
	}
	unknown, err := r.ask(ctx, p, refs, index, nil, found)
	if err != nil {
		return nil, err
	}
	for _, i := range index {
		inBatch := claimed[encodeMember(refs[i])]
		if inBatch && (found[i].Outcome == findAgain || found[i].Outcome == task.FindAbsent) {
			found[i].Outcome = task.FindClaimed
		}
	}
	left := unknown[:0]
	for _, i := range unknown {
		if found[i].Outcome == findAgain {
			left = append(left, i)
		}
	}
	return left, nil
}

// leases lists the tokens of all batches, maxLeases at most, page by page. A batch that
// comes or goes between two pages may be missing or be listed twice: find.lua notices that.
func (r *Redis) leases(ctx context.Context, p int) ([]string, error) {
	const page = 2000
	var all []string
	for len(all) < maxLeases {
		a, err := r.run(ctx, p, "leases", nil, page, -1, len(all))
		if err != nil {
			return nil, err
		}
		some := a.strs()
		if a.err != nil {
			return nil, a.err
		}
		if all = append(all, some...); len(some) < page {
			break
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// claimed reads the members of batches, several batches at a time: as many as have about
// answerBytes if they are like the batches before, and at most twice as many as the last
// time.
func (r *Redis) claimed(ctx context.Context, p int, tokens []string) (map[string]bool, error) {
	const most = 200
	all := map[string]bool{}
	for some := 1; len(tokens) > 0; {
		part := tokens[:min(some, len(tokens))]
		tokens = tokens[len(part):]
		sets, err := r.members(ctx, p, part)
		if err != nil {
			return nil, err
		}
		bytes := 1
		for _, set := range sets {
			for _, m := range set {
				all[m] = true
				bytes += len(m)
			}
		}
		some = max(1, min(2*some, most, answerBytes*len(part)/bytes))
	}
	return all, nil
}

// members reads the members of batches in one round trip.
func (r *Redis) members(ctx context.Context, p int, tokens []string) ([][]string, error) {
	return await(ctx, r.gate, false, func() ([][]string, error) {
		pipe := r.rdb.Pipeline()
		var sets []*redis.StringSliceCmd
		for _, t := range tokens {
			sets = append(sets, pipe.SMembers(ctx, r.keys[p].batch(t)))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, r.typed("read batches", p, err)
		}
		all := make([][]string, len(sets))
		for i, set := range sets {
			all[i] = set.Val()
		}
		return all, nil
	})
}

// ask asks the script, which looks through the batches of tokens, and returns the indices
// of the refs that the script could not answer for.
func (r *Redis) ask(ctx context.Context, p int, refs []task.Ref, index []int, tokens []string, found []task.FindResult) ([]int, error) {
	args := []any{len(tokens)}
	for _, t := range tokens {
		args = append(args, t)
	}
	step := min(chunk/3, max(1, findWork/(len(tokens)+1))) // three values a member come back
	var unknown []int
	for start := 0; start < len(index); start += step {
		part := index[start:min(start+step, len(index))]
		members := make([]task.Ref, len(part))
		for k, i := range part {
			members[k] = refs[i]
		}
		a, err := r.run(ctx, p, "find", r.batches(p, tokens), appendMembers(args, members)...)
		if errors.Is(err, task.ErrCold) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, i := range part {
			found[i] = task.FindResult{Outcome: outcome(a, findOutcome), NextMS: a.int(), Attempt: int(a.int())}
			if found[i].Outcome == findAgain {
				unknown = append(unknown, i)
			}
		}
		if a.err != nil {
			return nil, a.err
		}
	}
	return unknown, nil
}
