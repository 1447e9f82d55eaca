package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/internal/batch"
	"github.com/triggerhook/triggerhook/task"
)

// Delete implements Store. Concurrent calls share statements.
//
// Protocol of one group: a DELETE of all refs that commits if it met as many rows
// as it names; else it rolls back, reads FOR UPDATE which rows stand, deletes
// those, and commits. So each caller learns the truth about its own refs, and
// the common case costs one statement.
func (m *MySQL) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	deleted, err := m.deletes.Do(ctx, slices.Clone(refs))
	if err != nil {
		return nil, fmt.Errorf("delete %d tasks: %w", len(refs), err)
	}
	return deleted, nil
}

// deleteAll is the Flush of Delete.
func (m *MySQL) deleteAll(calls [][]task.Ref) []batch.Result[[]bool] {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	gone, err := m.deleteRefs(ctx, unique(calls))
	res := make([]batch.Result[[]bool], len(calls))
	if number(err) == 1205 && len(calls) > 1 {
		for i, refs := range calls {
			gone, err := m.deleteRefs(ctx, unique([][]task.Ref{refs}))
			res[i] = batch.Result[[]bool]{Value: claim(refs, gone), Err: err}
		}
		return res
	}
	for i, refs := range calls {
		res[i] = batch.Result[[]bool]{Value: claim(refs, gone), Err: err}
	}
	return res
}

// unique returns the refs of all calls once, in key order.
func unique(calls [][]task.Ref) []task.Ref {
	refs := slices.Concat(calls...)
	slices.SortFunc(refs, func(a, b task.Ref) int {
		if c := strings.Compare(a.ID, b.ID); c != 0 {
			return c
		}
		return int(min(1, max(-1, a.Ver-b.Ver)))
	})
	return slices.Compact(refs)
}

// claim tells a call which of its refs were deleted; each is given to one call.
func claim(refs []task.Ref, gone map[task.Ref]bool) []bool {
	mine := make([]bool, len(refs))
	for i, r := range refs {
		mine[i] = gone[r]
		delete(gone, r)
	}
	return mine
}

// deleteRefs deletes in statements of maxRows and returns what it deleted. Unsure
// is kept across tries: once a commit's answer was lost, what is missing may well
// be what this call deleted, and counts as that.
func (m *MySQL) deleteRefs(ctx context.Context, refs []task.Ref) (map[task.Ref]bool, error) {
	gone := make(map[task.Ref]bool, len(refs))
	for start := 0; start < len(refs); start += maxRows {
		part := refs[start:min(start+maxRows, len(refs))]
		unsure := false
		err := m.retry(ctx, "delete", func(conn *sql.Conn) error {
			stood, err := m.deletePart(ctx, conn, part)
			if lost(err) {
				unsure = true
			}
			if err == nil && unsure {
				stood = part
			}
			for _, r := range stood {
				gone[r] = err == nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// deletePart returns the refs that it deleted.
func (m *MySQL) deletePart(ctx context.Context, conn *sql.Conn, refs []task.Ref) ([]task.Ref, error) {
	if len(refs) == 1 { // one row, one commit: the count tells it all
		n, err := m.execDelete(ctx, conn, refs)
		return refs[:n], err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	n, err := m.execDelete(ctx, tx, refs)
	if err != nil {
		return nil, errors.Join(err, rollback(tx))
	}
	if n == len(refs) {
		return refs, tx.Commit()
	}
	if err := tx.Rollback(); err != nil {
		return nil, err
	}
	return m.deleteStanding(ctx, conn, refs)
}

func (m *MySQL) deleteStanding(ctx context.Context, conn *sql.Conn, refs []task.Ref) ([]task.Ref, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	stand, err := queryRefs(ctx, tx, expand(m.sql["lock_tasks"], len(refs)), refArgs(refs)...)
	if err == nil && len(stand) > 0 {
		_, err = m.execDelete(ctx, tx, stand)
	}
	if err != nil {
		return nil, errors.Join(err, rollback(tx))
	}
	return stand, tx.Commit()
}

func (m *MySQL) execDelete(ctx context.Context, to execer, refs []task.Ref) (int, error) {
	res, err := to.ExecContext(ctx, expand(m.sql["delete_tasks"], len(refs)), refArgs(refs)...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
