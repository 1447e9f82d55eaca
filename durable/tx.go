package durable

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// This file changes rows in transactions of callers (TxStore). The session of such a connection is the caller's, so
// nothing here relies on what session.go sets:
//
//   - ids and payloads are bound as bytes, and their lengths are checked before they are sent;
//   - under REPEATABLE READ a plain read shows an old snapshot, so rows are read on a connection of the store, and
//     locked in the version that they have there;
//   - a locking read of an id that does not exist would lock the gap before the next id against all creators, so only
//     versions that exist are named in one.

var _ TxStore = (*MySQL)(nil)

// keysAtOnce is how many entries one statement deletes.
const keysAtOnce = 100

// lockTries is how often LockTx looks for rows that are moved at the same time.
const lockTries = 5

// NoteTxUse implements TxStore.
func (m *MySQL) NoteTxUse(ctx context.Context) error {
	value := fmt.Sprint(task.NewVer())
	return m.boundedIn(ctx, certified, "note a transaction", func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, m.sql["put_meta"], []byte(task.RecordTxUse), []byte(value))
		return err
	})
}

// CreateTx implements TxStore. Rows that take several statements have a savepoint before them, so that ErrExists leaves
// the transaction as it was.
func (m *MySQL) CreateTx(ctx context.Context, tx task.Tx, rows []task.Row) error {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b task.Row) int {
		return cmp.Or(cmp.Compare(a.NextMS, b.NextMS), strings.Compare(a.ID, b.ID))
	})
	err := errors.Join(m.checkSize(rows), checkLengths(rows))
	if err == nil {
		err = m.insertTx(ctx, tx, rows)
	}
	if err == nil {
		err = m.insertOutbox(ctx, tx, task.Versions(rows))
	}
	return inTx(err, "create %d tasks", len(rows))
}

// checkLengths refuses what a server that is not strict would cut.
func checkLengths(rows []task.Row) error {
	for _, r := range rows {
		if len(r.ID) > task.MaxID || len(r.Headers) > task.MaxHeaders || len(r.Payload) > mostPayload {
			return fmt.Errorf("%w: task %.32q has an id of %d, headers of %d and a payload of %d bytes, at most %d, %d and %d are taken",
				task.ErrTooLarge, r.ID, len(r.ID), len(r.Headers), len(r.Payload), task.MaxID, task.MaxHeaders, mostPayload)
		}
	}
	return nil
}

// mostPayload is how long the column payload is.
const mostPayload = 1<<24 - 1

func (m *MySQL) insertTx(ctx context.Context, tx task.Tx, rows []task.Row) error {
	several := len(split(rows, m.rowShare)) > 1
	if several {
		if _, err := tx.ExecContext(ctx, "SAVEPOINT triggerhook_create"); err != nil {
			return err
		}
	}
	err := eachPart(ctx, m, rows, m.rowShare, func(part []task.Row) error { return m.insertPart(ctx, tx, part) })
	if number(err) != duplicate {
		return err
	}
	if several {
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT triggerhook_create"); err != nil {
			return err
		}
	}
	return m.existing(ctx, tx, rows, err)
}

// existing returns the error of a CreateTx that has met a duplicate. The ids are those that others have committed, or
// else those that this transaction has created. A row that another transaction has deleted meanwhile cannot be named.
func (m *MySQL) existing(ctx context.Context, tx task.Tx, rows []task.Row, duplicate error) error {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	found, err := m.find(ctx, ids)
	if err == nil && len(found) == 0 {
		found, err = m.versions(ctx, tx, ids)
	}
	if err != nil || len(found) == 0 {
		return errors.Join(fmt.Errorf("%w: %w", task.ErrExists, duplicate), err)
	}
	_, taken := compare(rows, found)
	return &task.IDError{Exists: taken}
}

// insertOutbox adds an entry for each version.
func (m *MySQL) insertOutbox(ctx context.Context, tx execer, refs []task.Ref) error {
	return eachPart(ctx, m, refs, m.refShare, func(part []task.Ref) error {
		marks := strings.TrimSuffix(strings.Repeat("(?,?,?),", len(part)), ",")
		args := make([]any, 0, 3*len(part))
		for _, r := range part {
			args = append(args, task.NewVer(), []byte(r.ID), r.Ver)
		}
		_, err := tx.ExecContext(ctx, strings.Replace(m.sql["insert_outbox"], "{rows}", marks, 1), args...)
		return err
	})
}

// LockTx implements TxStore.
//
// Protocol of one look: read the versions on a connection of the store; lock these versions in the transaction. What is
// left was moved or deleted meanwhile, or this transaction itself has made its version: read it in the transaction,
// lock that, and ask once more whether the version is committed. A row that is committed, and was not locked in either
// version, is moved at this moment, so look again.
func (m *MySQL) LockTx(ctx context.Context, tx task.Tx, ids []string) ([]task.LockedRow, error) {
	l := txLock{m: m, tx: tx, left: slices.Clone(ids)}
	slices.Sort(l.left)
	for range lockTries {
		committed, err := l.look(ctx)
		if err != nil {
			return nil, inTx(err, "lock %d tasks", len(ids))
		}
		if !slices.ContainsFunc(l.left, func(id string) bool { _, is := committed[id]; return is }) {
			return l.locked, nil
		}
	}
	return nil, inTx(fmt.Errorf("%w: task %q was moved each time, or the transaction's server does not have its row yet", task.ErrUnavailable, l.left[0]),
		"lock %d tasks", len(ids))
}

// txLock is one call of LockTx.
type txLock struct {
	m      *MySQL
	tx     task.Tx
	left   []string // that were not met yet
	locked []task.LockedRow
}

// look locks what it can of the ids that are left, and returns which rows are committed.
func (l *txLock) look(ctx context.Context) (committed map[string]task.Row, err error) {
	if committed, err = l.m.find(ctx, l.left); err != nil {
		return nil, err
	}
	rows, err := l.lock(ctx, refsOf(committed))
	if err != nil {
		return nil, err
	}
	l.take(rows, committed)
	if len(l.left) == 0 {
		return committed, nil
	}
	own, err := l.m.versions(ctx, l.tx, l.left) // of what may be an old snapshot
	if err != nil {
		return nil, err
	}
	for id, r := range own {
		if committed[id].Ver == r.Ver { // tried just now
			delete(own, id)
		}
	}
	if rows, err = l.lock(ctx, refsOf(own)); err != nil || len(rows) == 0 {
		return committed, err
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	now, err := l.m.find(ctx, ids) // their versions cannot change any more: they are locked
	l.take(rows, now)
	return committed, err
}

// take notes that rows are locked, and which of them are committed in their version.
func (l *txLock) take(rows []task.Row, committed map[string]task.Row) {
	for _, r := range rows {
		l.locked = append(l.locked, task.LockedRow{Ref: r.Ref, PrevVer: r.PrevVer, ExpiresMS: r.ExpiresMS, Committed: committed[r.ID].Ver == r.Ver})
		l.left = slices.DeleteFunc(l.left, func(id string) bool { return id == r.ID })
	}
}

// lock locks the rows that exist in these versions.
func (l *txLock) lock(ctx context.Context, refs []task.Ref) (rows []task.Row, err error) {
	err = eachPart(ctx, l.m, refs, l.m.refShare, func(part []task.Ref) error {
		some, err := queryVersions(ctx, l.tx, expand(l.m.sql["lock_tasks"], len(part)), refArgs(part)...)
		rows = append(rows, some...)
		return err
	})
	return rows, err
}

// refsOf returns the versions of rows in the order of their ids.
func refsOf(rows map[string]task.Row) []task.Ref {
	refs := make([]task.Ref, 0, len(rows))
	for _, r := range rows {
		refs = append(refs, r.Ref)
	}
	slices.SortFunc(refs, func(a, b task.Ref) int { return strings.Compare(a.ID, b.ID) })
	return refs
}

// DeleteTx implements TxStore.
func (m *MySQL) DeleteTx(ctx context.Context, tx task.Tx, rows []task.LockedRow) error {
	var refs, ended []task.Ref
	for _, r := range rows {
		refs, ended = append(refs, r.Ref), append(ended, r.Versions()...)
	}
	n := 0
	err := eachPart(ctx, m, refs, m.refShare, func(part []task.Ref) error {
		some, err := m.execDelete(ctx, tx, part)
		n += some
		return err
	})
	if err == nil && n != len(rows) {
		err = fmt.Errorf("%w: %d of %d rows are not locked by this transaction", task.ErrInvalid, len(rows)-n, len(rows))
	}
	if err == nil {
		err = m.insertOutbox(ctx, tx, ended)
	}
	return inTx(err, "delete %d tasks", len(rows))
}

// MoveTx implements TxStore.
func (m *MySQL) MoveTx(ctx context.Context, tx task.Tx, from task.LockedRow, to task.Row) error {
	prev := from.Ver
	if !from.Committed {
		prev = from.PrevVer
	}
	n, err := affected(tx.ExecContext(ctx, m.sql["move_locked_task"], to.NextMS, to.DueMS, prev, to.Ver, to.Attempt, []byte(from.ID), from.Ver))
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: the row is not locked by this transaction", task.ErrInvalid)
	}
	if err == nil {
		err = m.insertOutbox(ctx, tx, append(from.Versions(), to.Ref))
	}
	return inTx(err, "move task %q", from.ID)
}

// Outbox implements TxStore.
func (m *MySQL) Outbox(ctx context.Context, after int64, limit int) (all []task.OutboxEntry, err error) {
	err = m.bounded(ctx, "read the outbox", func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, m.sql["read_outbox"], after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for all = nil; rows.Next(); {
			var e task.OutboxEntry
			if err := rows.Scan(&e.Key, &e.ID, &e.Ver); err != nil {
				return err
			}
			all = append(all, e)
		}
		return rows.Err()
	})
	return all, err
}

// DeleteOutbox implements TxStore.
func (m *MySQL) DeleteOutbox(ctx context.Context, keys []int64) error {
	if len(keys) == 0 {
		return nil
	}
	return m.boundedIn(ctx, certified, "delete from the outbox", func(ctx context.Context, conn *sql.Conn) error {
		for part := range slices.Chunk(keys, keysAtOnce) {
			args := make([]any, len(part))
			for i, k := range part {
				args[i] = k
			}
			named := strings.TrimSuffix(strings.Repeat("SELECT CAST(? AS SIGNED) AS entry UNION ALL ", len(part)), " UNION ALL ")
			m.next(ctx)
			if _, err := conn.ExecContext(ctx, strings.Replace(m.sql["delete_outbox"], "{keys}", named, 1), args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// HoldBound implements TxStore. The row is committed, so a raiser that looks from now on finds it. A raiser that has looked before
// cannot raise the bound above a recent row (LowBound); for any other row the bound is held.
func (m *MySQL) HoldBound(ctx context.Context, nextMS int64) error {
	if m.low.recent(nextMS) || m.low.isHeld(nextMS) {
		return nil
	}
	return m.bounded(ctx, "hold the low bound", func(ctx context.Context, conn *sql.Conn) error { return m.hold(ctx, conn, nextMS) })
}

// inTx says what a call in a caller's transaction was about, and adds the sentinel of its error.
func inTx(err error, act string, args ...any) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrTxDone):
		err = fmt.Errorf("%w: %w", task.ErrInvalid, err)
	case number(err) == noTable:
		err = fmt.Errorf("%w: the transaction is not in the database that has the tasks, or Migrate has not run since: %w", task.ErrNotMigrated, err)
	default:
		err = typed(err)
	}
	return fmt.Errorf(act+" in a transaction: %w", append(args, err)...)
}
