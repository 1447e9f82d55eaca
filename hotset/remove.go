package hotset

import (
	"context"
	"slices"

	"github.com/triggerhook/triggerhook/task"
)

// Remove implements Set.
func (r *Redis) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if token == "" {
		asOf, all, err := perMember(ctx, r, p, "remove", "", refs, removeOutcome, 0)
		return task.RemoveResult{AsOf: asOf, Outcomes: all}, err
	}
	asOf, err := r.removeHeld(ctx, p, []task.Held{{Token: token, Refs: refs}})
	res := task.RemoveResult{AsOf: asOf, Outcomes: make([]task.RemoveOutcome, len(refs))}
	if asOf.Generation != 0 {
		res.Outcomes = slices.Repeat([]task.RemoveOutcome{task.RemoveClaimed}, len(refs))
	}
	return res, err
}

// RemoveHeld implements Set.
func (r *Redis) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	_, err := r.removeHeld(ctx, p, held)
	return err
}

func (r *Redis) removeHeld(ctx context.Context, p int, held []task.Held) (asOf task.AsOf, err error) {
	for some, rest := cutHeld(held); len(some) > 0; some, rest = cutHeld(rest) {
		args, tokens, refs := []any{len(some)}, make([]string, len(some)), []task.Ref(nil)
		for i, h := range some {
			args, tokens[i], refs = append(args, h.Token, len(h.Refs)), h.Token, append(refs, h.Refs...)
		}
		a, err := r.run(ctx, p, "remove", r.batches(p, tokens), appendMembers(args, refs)...)
		if err != nil {
			return asOf, err
		}
		if asOf = a.asOf; a.err != nil {
			return asOf, a.err
		}
	}
	return asOf, nil
}

// cutHeld returns what goes in the next call, chunk members at most, and the rest. It leaves out batches of which nothing is held.
func cutHeld(held []task.Held) (some, rest []task.Held) {
	room := chunk
	for i, h := range held {
		if room == 0 {
			return some, held[i:]
		}
		n := min(room, len(h.Refs))
		if n > 0 {
			some = append(some, task.Held{Token: h.Token, Refs: h.Refs[:n]})
		}
		if room -= n; n < len(h.Refs) {
			return some, append([]task.Held{{Token: h.Token, Refs: h.Refs[n:]}}, held[i+1:]...)
		}
	}
	return some, nil
}
