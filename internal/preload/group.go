package preload

import (
	"context"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

// group lets concurrent calls share calls to the hot set, because a call costs more than its
// members.
//
// AsOfBeforeRead holds for a group as it does for each of its calls: the group is added as of the
// oldest moment that one of them saw, which was before any of the rows was inserted. Calls that saw
// different generations do not share a call to the hot set.
type group = coalesce.Group[PartitionRows, struct{}]

func (a *Adder) newGroup(p int) *group {
	return &group{Parallel: maxCalls, MaxWeight: maxMembers,
		Weigh: func(r PartitionRows) int { return len(r.Rows) },
		Flush: func(all []PartitionRows) []coalesce.Result[struct{}] { return a.addAll(p, all) }}
}

// addAll adds a group and answers for each of its calls. It reports a failure once, and the
// callers retry later.
func (a *Adder) addAll(p int, all []PartitionRows) []coalesce.Result[struct{}] {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	failed := map[int64]error{}
	for generation, g := range byGeneration(all) {
		n, err := a.AddRows(ctx, p, g.AsOf, g.Rows)
		a.added.Add(uint64(n))
		if err != nil {
			failed[generation] = err
			a.failed("add created tasks", p, err)
		}
	}
	res := make([]coalesce.Result[struct{}], len(all))
	for i, r := range all {
		res[i].Err = failed[r.AsOf.Generation]
	}
	return res
}

// byGeneration joins rows that were stamped under one generation, as of the oldest moment.
func byGeneration(all []PartitionRows) map[int64]PartitionRows {
	joined, n := map[int64]PartitionRows{}, 0
	for _, r := range all {
		n += len(r.Rows)
	}
	for _, r := range all {
		g, ok := joined[r.AsOf.Generation]
		if !ok {
			g = PartitionRows{P: r.P, AsOf: r.AsOf, Rows: make([]task.Row, 0, n)} // all of them, nearly always
		}
		if r.AsOf.TimeUS < g.AsOf.TimeUS {
			g.AsOf = r.AsOf
		}
		g.Rows = append(g.Rows, r.Rows...)
		joined[r.AsOf.Generation] = g
	}
	return joined
}
