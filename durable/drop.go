package durable

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triggerhook/triggerhook/internal/batch"
	"github.com/triggerhook/triggerhook/task"
)

// Drop implements Store. Concurrent calls share statements.
//
// Protocol of one group: the versions of all ids are read, unlocked, and deleted as
// Delete does. An id whose version was gone by then is looked for again: it has got
// another one, or somebody else has deleted it. A locking read would not do: it can
// miss a row that is moved to an earlier time while it waits.
func (m *MySQL) Drop(ctx context.Context, ids []string) ([]task.Row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	own := slices.Clone(ids)
	rows, err := m.drops.Do(ctx, own)
	if errors.Is(err, errAlone) {
		before := rows
		rows, err = m.lone.drops.Do(ctx, own)
		for _, r := range before {
			if !slices.ContainsFunc(rows, func(o task.Row) bool { return o.ID == r.ID }) {
				rows = append(rows, r)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("drop %d tasks: %w", len(ids), doubtful(task.Versions(rows), err))
	}
	return rows, nil
}

// dropAll is the Flush of Drop. With an error come the rows that were deleted
// nevertheless, or may have been.
func (m *MySQL) dropAll(calls [][]string) []batch.Result[[]task.Row] {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	again := passing
	if len(calls) > 1 {
		again = passingForMany
	}
	ids := slices.Concat(calls...)
	slices.Sort(ids)
	gone, err := m.dropIDs(ctx, again, slices.Compact(ids))
	if len(calls) > 1 && alone(err) {
		err = errAlone
	}
	res := make([]batch.Result[[]task.Row], len(calls))
	for i, ids := range calls {
		res[i].Err = silent(ctx, err)
		for _, id := range ids {
			if r, ok := gone[id]; ok {
				res[i].Value = append(res[i].Value, r)
				delete(gone, id) // one call has it
			}
		}
	}
	return res
}

// dropIDs returns what it deleted; with an error, what it has or may have deleted.
func (m *MySQL) dropIDs(ctx context.Context, again func(error) bool, ids []string) (map[string]task.Row, error) {
	gone := make(map[string]task.Row, len(ids))
	for len(ids) > 0 {
		found, err := m.find(ctx, ids)
		if err != nil {
			return gone, err
		}
		refs := make([]task.Ref, 0, len(found))
		for _, id := range ids {
			if r, ok := found[id]; ok {
				refs = append(refs, r.Ref)
			}
		}
		deleted, err := m.deleteRefs(ctx, again, refs)
		ids = nil
		for _, ref := range refs {
			if deleted[ref] {
				gone[ref.ID] = found[ref.ID]
			} else {
				ids = append(ids, ref.ID)
			}
		}
		if err != nil {
			return gone, err
		}
	}
	return gone, nil
}
