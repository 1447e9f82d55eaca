package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

// dropping is one call of Drop.
type dropping struct {
	ids     []string
	aboveMS int64
}

// Drop implements Store. Concurrent calls share statements.
//
// Protocol of one group: the versions of all ids are read, unlocked, and deleted as
// Delete does. An id whose version was gone by then is looked for again: it has got
// another one, or somebody else has deleted it. A locking read would not do: it can
// miss a row that is moved to an earlier time while it waits.
//
// Many rows are taken for such as need not be read, if all of the last many were
// (dropUnread).
func (m *MySQL) Drop(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	own := dropping{slices.Clone(ids), aboveMS}
	rows, err := one(ctx, &m.drops, m.dropEach, own, m.idsShare(own.ids))
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
		rows = slices.DeleteFunc(rows, func(r task.Row) bool { return r.Ver == 0 })
		return nil, fmt.Errorf("drop %d tasks: %w", len(ids), doubtful(task.Versions(rows), err))
	}
	return rows, nil
}

// dropAll is the Flush of Drop. With an error come the rows that were deleted
// nevertheless, or may have been.
func (m *MySQL) dropAll(calls []dropping) []coalesce.Result[[]task.Row] {
	return m.dropEach(context.Background(), calls)
}

func (m *MySQL) dropEach(ctx context.Context, calls []dropping) []coalesce.Result[[]task.Row] {
	ctx, cancel := m.paced(ctx)
	defer cancel()
	again := passing
	if len(calls) > 1 {
		again = passingForMany
	}
	var all dropping
	for _, c := range calls {
		all.ids = append(all.ids, c.ids...)
		all.aboveMS = max(all.aboveMS, c.aboveMS)
	}
	slices.Sort(all.ids)
	all.ids = slices.Compact(all.ids)
	gone, err := m.dropGroup(ctx, again, all)
	if len(calls) > 1 && alone(err) {
		err = errAlone
	}
	res := make([]coalesce.Result[[]task.Row], len(calls))
	for i, c := range calls {
		res[i].Err = m.silent(ctx, err)
		for _, id := range c.ids {
			if r, ok := gone[id]; ok {
				res[i].Value = append(res[i].Value, r)
				delete(gone, id) // one call has it
			}
		}
	}
	return res
}

// dropGroup returns what it deleted; with an error, what it has or may have deleted. It
// reads and deletes part by part, so that what it has done by an error stays done.
func (m *MySQL) dropGroup(ctx context.Context, again func(error) bool, d dropping) (map[string]task.Row, error) {
	gone := make(map[string]task.Row, len(d.ids))
	many, far := len(d.ids) > few, true
	unread := many && m.allFar.Load()
	for _, ids := range split(d.ids, m.idShare) {
		allFar, err := m.dropPart(ctx, again, dropping{ids, d.aboveMS}, unread, gone)
		if err != nil {
			return gone, err
		}
		far = far && allFar
	}
	if many {
		m.allFar.Store(far)
	}
	return gone, nil
}

// dropPart adds to gone what it deleted, and reports whether all of it was far.
func (m *MySQL) dropPart(ctx context.Context, again func(error) bool, d dropping, unread bool, gone map[string]task.Row) (far bool, err error) {
	ids, far := d.ids, true
	if unread {
		ids, err = m.dropUnread(ctx, again, d, gone)
		if err != nil {
			return false, err
		}
		far = len(ids) == 0
	}
	for len(ids) > 0 {
		found, err := m.find(ctx, ids)
		if err != nil {
			return false, err
		}
		far = far && len(found) == len(ids)
		refs := make([]task.Ref, 0, len(found))
		for _, id := range ids {
			if r, ok := found[id]; ok {
				refs = append(refs, r.Ref)
				far = far && r.NextMS > d.aboveMS && r.PrevVer == 0
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
			return false, err
		}
	}
	return far, nil
}

// dropUnread deletes what is due later than aboveMS and was never moved, without reading
// it, and returns the ids of the statements that met anything else: nothing of them is
// deleted. With an error gone has what a commit whose answer was lost may have deleted.
//
// Protocol of one statement: BEGIN; DELETE; COMMIT if it met every id, else ROLLBACK. So
// a DELETE whose connection was lost has no effect, however late it runs. A COMMIT that
// was lost holds its rows until it lands: no task can be created under their ids before,
// so it does not delete what its caller never meant. At the next try all stand, and are
// deleted again; or not all do: then it had landed, what is missing was deleted, and what
// stands goes the other way.
func (m *MySQL) dropUnread(ctx context.Context, again func(error) bool, d dropping, gone map[string]task.Row) (left []string, err error) {
	err = eachPart(ctx, m, d.ids, m.idShare, func(ids []string) error {
		var stand map[string]task.Row // if not all were deleted
		all, lost := false, false     // the last try met all of them; the answer to a commit was lost
		err := m.retryIn(ctx, certified, "delete", again, func(conn *sql.Conn) (err error) {
			if all, err = m.deleteUnread(ctx, conn, ids, d.aboveMS); err == nil && !all && lost {
				if _, err = m.refresh(ctx, conn); err == nil {
					stand, err = m.versions(ctx, conn, ids)
				}
			}
			lost = lost || all && unsure(err)
			return err
		})
		for _, id := range ids {
			if _, stands := stand[id]; all || lost && !stands {
				gone[id] = task.Row{Ref: task.Ref{ID: id}}
			} else {
				left = append(left, id)
			}
		}
		return err
	})
	return left, err
}

// deleteUnread reports whether it met all ids; with an error, that of the commit if so.
func (m *MySQL) deleteUnread(ctx context.Context, conn *sql.Conn, ids []string, aboveMS int64) (all bool, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	n, err := affected(tx.ExecContext(ctx, expand(m.sql["delete_far_tasks"], len(ids)), append(idArgs(ids), aboveMS)...))
	if err != nil || n < len(ids) {
		return false, errors.Join(err, rollback(tx))
	}
	return true, tx.Commit()
}
