package durable

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

// Delete implements Store. Concurrent calls share statements.
//
// Protocol of one group: one DELETE of all refs commits if it has met as many rows as it
// names. If not, it rolls back, reads FOR UPDATE which rows exist, deletes those, and
// commits. So each caller learns the truth about its own refs, and the common case costs one
// statement. For few refs that is one round trip too, because the statement itself counts
// first. On a lock wait each call goes alone. In a group of servers the second look is a
// fresh read (FreshRead), so that no row counts as gone only because this server has not
// applied it yet.
//
// If the answer to a commit was lost, the next try counts the rows as deleted that this commit
// would have deleted and that are missing now. It counts no other rows, so a ref that never
// existed does not count as deleted. A row that was moved meanwhile is not missing (task.Moved).
//
// More refs than a statement takes are several commits, which no other call shares. If one of
// them fails, those before it stay committed. The error names their rows, and those of commits whose
// answers were lost in the last try (task.UnsureError), so that a caller that tries again
// learns the truth.
func (m *MySQL) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	own := slices.Clone(refs)
	deleted, err := one(ctx, &m.deletes, m.deleteEach, own, m.refsShare(own))
	return m.splitDelete(ctx, own, deleted, err, func() ([]bool, error) { return m.ungrouped.deletes.Do(ctx, own) })
}

// splitDelete returns the answer of a call that deletes refs. If it was split from its group, it is made again, alone.
func (m *MySQL) splitDelete(ctx context.Context, refs []task.Ref, deleted []bool, err error, alone func() ([]bool, error)) ([]bool, error) {
	if errors.Is(err, errSplit) {
		before := task.Unsure(err)
		if deleted, err = alone(); err != nil {
			err = doubtful(append(task.Unsure(err), before...), err)
		}
		for i, r := range refs[:len(deleted)] {
			deleted[i] = deleted[i] || slices.Contains(before, r)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("delete %d tasks: %w", len(refs), err)
	}
	return deleted, nil
}

// doubtful wraps err in a task.UnsureError for refs, if there are any.
func doubtful(refs []task.Ref, err error) error {
	if len(refs) == 0 {
		return err
	}
	return &task.UnsureError{Refs: refs, Err: err}
}

// refsShare returns a call's share of a statement, in rows.
func (m *MySQL) refsShare(refs []task.Ref) int {
	n := 0
	for _, r := range refs {
		n += m.refShare(r)
	}
	return n
}

// deleteAll is the Flush of Delete.
func (m *MySQL) deleteAll(calls [][]task.Ref) []coalesce.Result[[]bool] {
	return m.deleteEach(context.Background(), calls)
}

func (m *MySQL) deleteEach(ctx context.Context, calls [][]task.Ref) []coalesce.Result[[]bool] {
	return m.deleteTogether(ctx, calls, nil)
}

// deleteTogether deletes for many calls at once, and keeps what ends say of the rows; without ends no history is kept.
func (m *MySQL) deleteTogether(ctx context.Context, calls [][]task.Ref, ends map[task.Ref]task.Ending) []coalesce.Result[[]bool] {
	ctx, cancel := m.paced(ctx)
	defer cancel()
	again := retryable
	if len(calls) > 1 {
		again = retryableInGroup
	}
	gone, err := m.deleteRefs(ctx, again, unique(calls), ends)
	if len(calls) > 1 && splitsGroup(err) {
		err = errSplit
	}
	res := make([]coalesce.Result[[]bool], len(calls))
	for i, refs := range calls {
		mine := resultsFor(refs, gone)
		if err == nil {
			res[i].Value = mine
			continue
		}
		var maybe []task.Ref
		for j, r := range refs {
			if mine[j] {
				maybe = append(maybe, r)
			}
		}
		res[i].Err = doubtful(maybe, m.nameTimeout(ctx, err))
	}
	return res
}

// unique returns the refs of all calls once, in key order.
func unique(calls [][]task.Ref) []task.Ref {
	refs := slices.Concat(calls...)
	slices.SortFunc(refs, func(a, b task.Ref) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Ver, b.Ver))
	})
	return slices.Compact(refs)
}

// resultsFor returns which of a call's refs were deleted. Each deleted ref goes to one call.
func resultsFor(refs []task.Ref, gone map[task.Ref]bool) []bool {
	mine := make([]bool, len(refs))
	for i, r := range refs {
		mine[i] = gone[r]
		delete(gone, r)
	}
	return mine
}

// deleteRefs deletes in statements of bounded size, and returns the refs that it deleted. With an
// error it returns the refs that it has or may have deleted.
func (m *MySQL) deleteRefs(ctx context.Context, again func(error) bool, refs []task.Ref, ends map[task.Ref]task.Ending) (map[task.Ref]bool, error) {
	gone := make(map[task.Ref]bool, len(refs))
	share := m.refShare
	if ends != nil {
		share = func(r task.Ref) int { return m.endShare(ends[r]) }
	}
	err := eachPart(ctx, m, refs, share, func(part []task.Ref) error {
		d := deletion{m: m, refs: part, ends: ends, gone: gone}
		err := m.retryIn(ctx, certified, "delete", again, func(conn *sql.Conn) error { return d.try(ctx, conn) })
		if err != nil {
			d.admit()
			d.note(d.maybe)
		}
		return err
	})
	return gone, err
}

// deletion is the refs of one statement, with what its tries have found so far.
type deletion struct {
	m     *MySQL
	refs  []task.Ref
	ends  map[task.Ref]task.Ending // what the history keeps of them; nil: nothing
	gone  map[task.Ref]bool        // what was deleted
	maybe []task.Ref               // what a commit may have deleted whose answer was lost
	blind bool                     // a statement whose answer was lost may have deleted all of refs; if not, none
}

func (d *deletion) try(ctx context.Context, conn *sql.Conn) error {
	deleted, err := d.delete(ctx, conn)
	if err != nil {
		return err
	}
	d.note(deleted)
	if len(deleted) > 0 {
		d.blind = false
	}
	d.admit()
	if len(d.maybe) == 0 {
		return nil
	}
	ids := make([]string, len(d.maybe))
	for i, r := range d.maybe {
		ids[i] = r.ID
	}
	found, err := d.m.versions(ctx, conn, ids) // the connection is fresh, or all rows were met just now
	if err != nil {
		return err
	}
	for _, r := range d.maybe {
		if !task.Moved(r, found[r.ID]) {
			d.note([]task.Ref{r})
		}
	}
	return nil
}

// admit adds all refs to maybe, if a statement whose answer was lost may have deleted them (blind).
func (d *deletion) admit() {
	if d.blind {
		d.maybe = append(d.maybe, d.refs...)
	}
}

func (d *deletion) note(refs []task.Ref) {
	for _, r := range refs {
		d.gone[r] = true
	}
}

// delete returns the refs that it deleted.
func (d *deletion) delete(ctx context.Context, conn *sql.Conn) ([]task.Ref, error) {
	if d.ends != nil {
		return d.end(ctx, conn)
	}
	if len(d.refs) <= few { // all or none, in one commit: the count says which
		n, err := d.m.execDeleteFew(ctx, conn, d.refs)
		if 0 < n && n < len(d.refs) { // on a server that does not lock the rows that it counts
			err = fmt.Errorf("%w: %d of %d rows were deleted, and the server does not say which", task.ErrUnavailable, n, len(d.refs))
		}
		d.blind = d.blind || unsure(err) || n > 0 && err != nil
		if n == len(d.refs) || err != nil {
			return d.refs[:n], err
		}
		if old, err := d.m.turnFresh(ctx, conn); err != nil || len(d.refs) == 1 && !old {
			return nil, err
		}
		return d.deleteExisting(ctx, conn)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	n, err := d.m.execDelete(ctx, tx, d.refs)
	if err != nil {
		return nil, errors.Join(err, rollback(tx))
	}
	if n == len(d.refs) {
		return d.refs, d.commit(d.refs, tx.Commit())
	}
	if err := tx.Rollback(); err != nil {
		return nil, err
	}
	if _, err := d.m.turnFresh(ctx, conn); err != nil {
		return nil, err
	}
	return d.deleteExisting(ctx, conn)
}

func (d *deletion) deleteExisting(ctx context.Context, conn *sql.Conn) ([]task.Ref, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	rows, err := queryVersions(ctx, tx, expand(d.m.sql["lock_tasks"], len(d.refs)), refArgs(d.refs)...)
	existing := make([]task.Ref, len(rows))
	for i, r := range rows {
		existing[i] = r.Ref
	}
	if err == nil && len(existing) > 0 {
		_, err = d.m.execDelete(ctx, tx, existing)
	}
	if err != nil {
		return nil, errors.Join(err, rollback(tx))
	}
	return existing, d.commit(existing, tx.Commit())
}

// commit takes the outcome of a commit that deleted refs.
func (d *deletion) commit(refs []task.Ref, err error) error {
	if unsure(err) {
		d.maybe = append(d.maybe, refs...)
	}
	return err
}

// few is up to how many rows are deleted by the statement that counts them first. That statement saves two
// round trips, and reads each row twice.
const few = 50

// execDeleteFew deletes all of few refs or none.
func (m *MySQL) execDeleteFew(ctx context.Context, to execer, refs []task.Ref) (int, error) {
	if len(refs) == 1 {
		return m.execDelete(ctx, to, refs)
	}
	args := refArgs(refs)
	return affected(to.ExecContext(ctx, expand(m.sql["delete_few_tasks"], len(refs)), append(append(args, len(refs)), args...)...))
}

func affected(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

func (m *MySQL) execDelete(ctx context.Context, to execer, refs []task.Ref) (int, error) {
	return affected(to.ExecContext(ctx, expand(m.sql["delete_tasks"], len(refs)), refArgs(refs)...))
}
