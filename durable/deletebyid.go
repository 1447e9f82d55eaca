package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

// deletionByID is one call of DeleteByID.
type deletionByID struct {
	ids     []string
	aboveMS int64
	ends    map[string]task.Ending // what the history keeps of them, by id; nil: nothing
}

// DeleteByID implements Store. Concurrent calls share statements.
//
// Protocol of one group: it reads the versions of all ids without locks, and deletes these
// versions as Delete does. If a version was gone by then the id is read again: the row has
// another version, or another call has deleted it. A locking read would not be correct: it can miss a
// row that is moved to an earlier time while the read waits.
//
// If all rows of the last call with many ids were far, the next call with many ids first tries to
// delete its rows without reading them (deleteFar).
func (m *MySQL) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return m.deleteByID(ctx, deletionByID{ids: slices.Clone(ids), aboveMS: aboveMS})
}

func (m *MySQL) deleteByID(ctx context.Context, own deletionByID) ([]task.Row, error) {
	rows, err := one(ctx, &m.byID, m.deleteEachByID, own, m.idsShare(own.ids))
	if errors.Is(err, errSplit) {
		before := rows
		rows, err = m.ungrouped.byID.Do(ctx, own)
		for _, r := range before {
			if !slices.ContainsFunc(rows, func(o task.Row) bool { return o.ID == r.ID }) {
				rows = append(rows, r)
			}
		}
	}
	if err != nil {
		rows = slices.DeleteFunc(rows, func(r task.Row) bool { return r.Ver == 0 })
		return nil, fmt.Errorf("delete %d tasks by id: %w", len(own.ids), doubtful(task.Versions(rows), err))
	}
	return rows, nil
}

// deleteAllByID is the Flush of DeleteByID. With an error it returns the rows that were or may have been
// deleted in spite of it.
func (m *MySQL) deleteAllByID(calls []deletionByID) []coalesce.Result[[]task.Row] {
	return m.deleteEachByID(context.Background(), calls)
}

func (m *MySQL) deleteEachByID(ctx context.Context, calls []deletionByID) []coalesce.Result[[]task.Row] {
	ctx, cancel := m.paced(ctx)
	defer cancel()
	again := retryable
	if len(calls) > 1 {
		again = retryableInGroup
	}
	var all deletionByID
	for _, c := range calls {
		all.ids = append(all.ids, c.ids...)
		all.aboveMS = max(all.aboveMS, c.aboveMS)
		if all.ends == nil && c.ends != nil {
			all.ends = make(map[string]task.Ending, len(c.ends))
		}
		maps.Copy(all.ends, c.ends)
	}
	slices.Sort(all.ids)
	all.ids = slices.Compact(all.ids)
	gone, err := m.deleteGroupByID(ctx, again, all)
	if len(calls) > 1 && splitsGroup(err) {
		err = errSplit
	}
	res := make([]coalesce.Result[[]task.Row], len(calls))
	for i, c := range calls {
		res[i].Err = m.nameTimeout(ctx, err)
		for _, id := range c.ids {
			if r, ok := gone[id]; ok {
				res[i].Value = append(res[i].Value, r)
				delete(gone, id) // one call has it
			}
		}
	}
	return res
}

// deleteGroupByID returns the rows that it deleted, or with an error those that it has or may have deleted. It
// reads and deletes part by part, so that the parts before an error stay deleted.
func (m *MySQL) deleteGroupByID(ctx context.Context, again func(error) bool, d deletionByID) (map[string]task.Row, error) {
	gone := make(map[string]task.Row, len(d.ids))
	many, far := len(d.ids) > few, true
	unread := many && d.ends == nil && m.allFar.Load()
	for _, ids := range split(d.ids, m.idShare) {
		allFar, err := m.deletePartByID(ctx, again, deletionByID{ids, d.aboveMS, d.ends}, unread, gone)
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

// deletePartByID adds to gone what it deleted, and reports whether all of it was far.
func (m *MySQL) deletePartByID(ctx context.Context, again func(error) bool, d deletionByID, unread bool, gone map[string]task.Row) (far bool, err error) {
	ids, far := d.ids, true
	if unread {
		ids, err = m.deleteFar(ctx, again, d, gone)
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
		deleted, err := m.deleteRefs(ctx, again, refs, d.endsOf(refs))
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

// endsOf returns what the history keeps of these versions, nil if nothing.
func (d deletionByID) endsOf(refs []task.Ref) map[task.Ref]task.Ending {
	if d.ends == nil {
		return nil
	}
	ends := make(map[task.Ref]task.Ending, len(refs))
	for _, r := range refs {
		e := d.ends[r.ID]
		e.Ref = r
		ends[r] = e
	}
	return ends
}

// deleteFar deletes rows that are due later than aboveMS and were never moved, without reading
// them. It returns the ids of the statements that met any other row: these statements delete
// nothing. With an error gone has the rows that a commit may have deleted whose answer was lost.
//
// Protocol of one statement: BEGIN; DELETE; then COMMIT if it has met every id, otherwise
// ROLLBACK. So a DELETE whose connection was lost has no effect, however late it runs. A COMMIT
// whose connection was lost keeps the locks of its rows until it is done. No task can be created
// under their ids before that, so the COMMIT cannot delete a task that was created later. If the next
// try finds all rows, it deletes them. If not, the COMMIT was done: the missing rows
// were deleted, and the rows that exist are read and deleted by version.
func (m *MySQL) deleteFar(ctx context.Context, again func(error) bool, d deletionByID, gone map[string]task.Row) (left []string, err error) {
	err = eachPart(ctx, m, d.ids, m.idShare, func(ids []string) error {
		var existing map[string]task.Row // if not all were deleted
		all, lost := false, false        // the last try has met all ids; the answer to a commit was lost
		err := m.retryIn(ctx, certified, "delete", again, func(conn *sql.Conn) (err error) {
			if all, err = m.deleteUnread(ctx, conn, ids, d.aboveMS); err == nil && !all && lost {
				if _, err = m.turnFresh(ctx, conn); err == nil {
					existing, err = m.versions(ctx, conn, ids)
				}
			}
			lost = lost || all && unsure(err)
			return err
		})
		for _, id := range ids {
			if _, exists := existing[id]; all || lost && !exists {
				gone[id] = task.Row{Ref: task.Ref{ID: id}}
			} else {
				left = append(left, id)
			}
		}
		return err
	})
	return left, err
}

// deleteUnread reports whether its DELETE met all ids. If it did, an error is that of the commit.
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
