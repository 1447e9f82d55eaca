package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// upsert is one call of Upsert. One goroutine owns it.
//
// Protocol: BEGIN; for each part of the rows an INSERT .. ON DUPLICATE KEY UPDATE, and a SELECT of what is stored then;
// COMMIT. The statement decides for each row by itself, under the lock of the row, so no other writer comes
// between. What it did is told by the versions: a row that has the version of the call was inserted if it names no previous
// version, and changed if it names one. A row of another version was kept. If it was to be changed, it names
// a previous version that the caller does not know, and the transaction is rolled back.
//
// If the answer to the COMMIT was lost, the next try first looks for a row that the lost try has stored. If there is one, that
// try has committed, and what it did is the answer: its rows that are missing now were deleted since, and must not
// come back. Otherwise the try repeats everything, and rows that have the version of the call do not change again.
//
// The connection is fresh (FreshRead), because a row that is kept is acted upon: the caller's task is not stored then.
type upsert struct {
	m      *MySQL
	stmt   string
	on     task.OnConflict
	rows   []task.Row // by their ids, so that calls lock rows in one order
	done   map[string]task.Upserted
	maybe  bool // the answer to a COMMIT was lost; done has what it did
	unsure []task.Ref
}

// upserts are the statements by what they do with a row that exists.
var upserts = map[task.OnConflict]string{task.Keep: "upsert_keep", task.Replace: "upsert_replace",
	task.Earliest: "upsert_earliest", task.Debounce: "upsert_debounce"}

// Upsert implements Store. Calls share no statements.
func (m *MySQL) Upsert(ctx context.Context, rows []task.Row, on task.OnConflict) ([]task.Upserted, error) {
	if err := on.Check(); err != nil || len(rows) == 0 {
		return nil, err
	}
	u := &upsert{m: m, stmt: m.sql[upserts[on]], on: on, rows: slices.Clone(rows)}
	slices.SortFunc(u.rows, func(a, b task.Row) int { return strings.Compare(a.ID, b.ID) })
	err := m.bounded(ctx, fmt.Sprintf("upsert %d tasks", len(rows)), func(ctx context.Context, conn *sql.Conn) error {
		if err := m.checkSize(rows); err != nil {
			return err
		}
		return m.aboveBound(ctx, conn, earliest(map[int][]task.Row{0: rows}), func() error { return u.try(ctx, conn) })
	})
	if connLost(err) && m.escapedTooLarge(rows) {
		err = fmt.Errorf("%w, or %w", task.ErrTooLarge, err)
	}
	if err != nil {
		return nil, doubtful(u.unsure, err)
	}
	all := make([]task.Upserted, len(rows))
	for i, r := range rows {
		all[i] = u.done[r.ID]
	}
	return all, nil
}

// try is one try of the whole call.
func (u *upsert) try(ctx context.Context, conn *sql.Conn) error {
	if u.maybe {
		committed, err := u.committed(ctx, conn)
		if err != nil || committed {
			return err
		}
	}
	for {
		parts := split(u.rows, u.m.rowShare)
		err := u.transact(ctx, conn, parts)
		if !tooLarge(err) || !u.m.shrink(len(parts[0])) {
			return err
		}
	}
}

// committed reports whether a row stands that an earlier try has stored.
func (u *upsert) committed(ctx context.Context, conn *sql.Conn) (bool, error) {
	ids := make([]string, len(u.rows))
	for i, r := range u.rows {
		ids[i] = r.ID
	}
	found, err := u.m.versions(ctx, conn, ids)
	return err == nil && slices.ContainsFunc(u.rows, func(r task.Row) bool { return isOf(r, found) }), err
}

// transact makes the transaction.
func (u *upsert) transact(ctx context.Context, conn *sql.Conn, parts [][]task.Row) error {
	u.m.next(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	done, prev := make(map[string]task.Upserted, len(u.rows)), &task.PrevError{}
	for _, part := range parts {
		u.m.next(ctx)
		if err := u.part(ctx, tx, part, done, prev); err != nil {
			return errors.Join(err, rollback(tx))
		}
	}
	if len(prev.Refs) > 0 {
		return errors.Join(prev, rollback(tx))
	}
	u.m.next(ctx)
	u.done = done
	if err = tx.Commit(); unsure(err) {
		u.maybe = true
		for _, d := range done {
			if d.Outcome == task.Replaced {
				u.unsure = append(u.unsure, d.Was)
			}
		}
	}
	return err
}

// part stores rows, reads what is stored then, and adds to done what that tells, and to prev the versions that stop the call.
func (u *upsert) part(ctx context.Context, tx *sql.Tx, rows []task.Row, done map[string]task.Upserted, prev *task.PrevError) error {
	known, ids := []any{0}, make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
		if r.PrevVer != 0 {
			known = append(known, r.PrevVer)
		}
	}
	stmt, args := withRows(u.stmt, rows, true)
	if u.on != task.Keep {
		stmt, args = expand(stmt, len(known)), append(args, known...)
	}
	if _, err := tx.ExecContext(ctx, stmt, args...); err != nil {
		return err
	}
	found, err := query(ctx, tx, expand(u.m.sql["get_tasks"], len(ids)), 0, idArgs(ids)...)
	if err != nil {
		return err
	}
	stored := make(map[string]task.Row, len(found))
	for _, r := range found {
		stored[r.ID] = r
	}
	for _, r := range rows {
		d, ok := u.told(r, stored[r.ID])
		if !ok {
			prev.Refs = append(prev.Refs, task.Ref{ID: r.ID, Ver: stored[r.ID].PrevVer})
		}
		done[r.ID] = d
	}
	return nil
}

// told says what became of r, for which is is stored now. False: is names a previous version that must be removed first.
func (u *upsert) told(r, is task.Row) (d task.Upserted, ok bool) {
	switch {
	case is.Ver == r.Ver && is.PrevVer == 0:
		r.PrevVer = 0
		return task.Upserted{Outcome: task.Created, Row: r}, true
	case is.Ver == r.Ver:
		if u.on != task.Earliest {
			is.Payload, is.Headers = r.Payload, r.Headers
		}
		return task.Upserted{Outcome: task.Replaced, Was: task.Ref{ID: r.ID, Ver: is.PrevVer}, Row: is}, true
	case is.PrevVer == r.Ver: // an earlier try has stored it, and it was moved since
		return u.done[r.ID], true
	case u.on == task.Keep, u.on == task.Earliest && is.NextMS <= r.NextMS, u.on == task.Replace && (is.PrevVer == 0 || is.PrevVer == r.PrevVer):
		return task.Upserted{Outcome: task.Kept}, true // a Replace that was free to change it has found the same payload and headers
	}
	return d, false
}
