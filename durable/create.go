package durable

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

// Create implements Store. Concurrent calls share statements; each call is all
// or none by itself.
//
// Protocol of one group:
//
//  1. All rows of all calls go into one INSERT, in key order. If it succeeds,
//     every call has succeeded.
//  2. On a duplicate (1062, nothing was inserted) the versions of all ids are
//     read. A row with its own version was inserted by an earlier call. A call with an id
//     of another version fails alone. What is left goes back to 1.
//  3. On a duplicate after a try whose answer was lost, a row that has its own version, or
//     was moved from it, was inserted by that try, and so were all rows of its call. The rows
//     of that call that are missing have been deleted since, and must not come back.
//  4. On an error that one call alone may have caused (a lock wait: a user's
//     transaction holds one of the rows; a value that does not fit) each call
//     goes alone, so that one row holds up no other call.
//
// A call whose rows take several statements is one transaction, and shares none of them.
func (m *MySQL) Create(ctx context.Context, rows []task.Row) error {
	if len(rows) == 0 {
		return nil
	}
	own := copyRows(rows)
	_, err := one(ctx, &m.creates, m.createEach, own, m.share(own))
	if errors.Is(err, errSplit) {
		_, err = m.ungrouped.creates.Do(ctx, own)
	}
	if err != nil {
		return fmt.Errorf("create %d tasks: %w", len(rows), err)
	}
	return nil
}

// copyRows copies rows with their payloads, because a statement may outlive the
// call that gave them.
func copyRows(rows []task.Row) []task.Row {
	n := 0
	for _, r := range rows {
		n += len(r.Payload)
	}
	all, own := make([]byte, 0, n), slices.Clone(rows)
	for i, r := range rows {
		all = append(all, r.Payload...)
		own[i].Payload = all[len(all)-len(r.Payload) : len(all) : len(all)]
	}
	return own
}

// createAll is the Flush of Create. Calls that share an id go one after another.
func (m *MySQL) createAll(calls [][]task.Row) []coalesce.Result[struct{}] {
	return m.createEach(context.Background(), calls)
}

func (m *MySQL) createEach(ctx context.Context, calls [][]task.Row) []coalesce.Result[struct{}] {
	ctx, cancel := m.paced(ctx)
	defer cancel()
	res := make([]coalesce.Result[struct{}], len(calls))
	left := make([]int, len(calls))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		var now []int
		now, left = distinct(calls, left)
		m.createCalls(ctx, calls, now, res)
	}
	for i := range res {
		res[i].Err = m.nameTimeout(ctx, res[i].Err)
	}
	return res
}

// distinct parts the calls of that index into those with ids of their own and those
// with an id that an earlier one has too.
func distinct(calls [][]task.Row, index []int) (now, later []int) {
	if len(index) == 1 {
		return index, nil
	}
	seen := make(map[string]bool, len(index))
	for _, i := range index {
		if slices.ContainsFunc(calls[i], func(r task.Row) bool { return seen[r.ID] }) {
			later = append(later, i)
			continue
		}
		for _, r := range calls[i] {
			seen[r.ID] = true
		}
		now = append(now, i)
	}
	return now, later
}

// createCalls inserts the calls of that index, whose ids are distinct, and puts
// their results into res.
func (m *MySQL) createCalls(ctx context.Context, calls [][]task.Row, index []int, res []coalesce.Result[struct{}]) {
	open, again := make(map[int][]task.Row, len(index)), retryable
	for _, i := range index {
		open[i] = calls[i]
	}
	if len(open) > 1 {
		again = retryableInGroup
	}
	maybeCommitted := false // the answer to a try was lost
	err := m.retryIn(ctx, certified, "insert", again, func(conn *sql.Conn) error {
		for i, rows := range open {
			if err := m.checkSize(rows); err != nil {
				res[i].Err = err
				delete(open, i)
			}
		}
		err := m.aboveBound(ctx, conn, earliest(open), func() error { return m.insertOpen(ctx, conn, open, maybeCommitted, res) })
		maybeCommitted = maybeCommitted || unsure(err)
		return err
	})
	for i, rows := range open {
		switch {
		case connLost(err) && m.escapedTooLarge(rows):
			res[i].Err = fmt.Errorf("%w, or %w", task.ErrTooLarge, err)
		case len(open) > 1 && splitsGroup(err):
			res[i].Err = errSplit
		default:
			res[i].Err = err
		}
	}
}

// earliest is when the first of the rows of all calls is due.
func earliest(calls map[int][]task.Row) int64 {
	first := int64(task.MaxDue)
	for _, rows := range calls {
		for _, r := range rows {
			first = min(first, r.NextMS)
		}
	}
	return first
}

// insertOpen inserts the rows of the calls in open, and removes from open the calls that have their result (sift).
func (m *MySQL) insertOpen(ctx context.Context, conn *sql.Conn, open map[int][]task.Row, maybeCommitted bool, res []coalesce.Result[struct{}]) error {
	for len(open) > 0 {
		err := m.insert(ctx, conn, open)
		if number(err) != duplicate {
			return err
		}
		if err := m.sift(ctx, conn, open, maybeCommitted, res); err != nil {
			return err
		}
	}
	return nil
}

// sift removes from open the rows that an earlier call has inserted, the calls with ids that exist in another
// version, and, if the commit of an earlier try may have succeeded (maybeCommitted), the calls that it has inserted.
func (m *MySQL) sift(ctx context.Context, conn *sql.Conn, open map[int][]task.Row, maybeCommitted bool, res []coalesce.Result[struct{}]) error {
	var ids []string
	for _, rows := range open {
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
	}
	if _, err := m.turnFresh(ctx, conn); err != nil {
		return err
	}
	found, err := m.versions(ctx, conn, ids)
	if err != nil {
		return err
	}
	for i, rows := range open {
		missing, taken := compare(rows, found)
		switch {
		case maybeCommitted && slices.ContainsFunc(rows, func(r task.Row) bool { return isOf(r, found) }):
			delete(open, i)
		case len(taken) > 0:
			res[i].Err = &task.IDError{Exists: taken}
			delete(open, i)
		case len(missing) == 0:
			delete(open, i)
		default:
			open[i] = missing
		}
	}
	return nil
}

// isOf reports whether r was found, or what it was moved to.
func isOf(r task.Row, found map[string]task.Row) bool {
	existing, ok := found[r.ID]
	return ok && (existing.Ver == r.Ver || existing.PrevVer == r.Ver)
}

// compare returns the rows that do not exist, and the ids of those that do in
// another version.
func compare(rows []task.Row, found map[string]task.Row) (missing []task.Row, taken []string) {
	for _, r := range rows {
		switch existing, ok := found[r.ID]; {
		case !ok:
			missing = append(missing, r)
		case existing.Ver != r.Ver:
			taken = append(taken, r.ID)
		}
	}
	return missing, taken
}

// insert puts all rows in, in one commit.
func (m *MySQL) insert(ctx context.Context, conn *sql.Conn, open map[int][]task.Row) error {
	n := 0
	for _, r := range open {
		n += len(r)
	}
	rows := make([]task.Row, 0, n)
	for _, r := range open {
		rows = append(rows, r...)
	}
	slices.SortFunc(rows, func(a, b task.Row) int {
		return cmp.Or(cmp.Compare(a.NextMS, b.NextMS), strings.Compare(a.ID, b.ID))
	})
	for {
		parts := split(rows, m.rowShare)
		err := m.insertParts(ctx, conn, parts)
		if !tooLarge(err) || !m.shrink(len(parts[0])) {
			return err
		}
	}
}

func (m *MySQL) insertParts(ctx context.Context, conn *sql.Conn, parts [][]task.Row) error {
	if len(parts) == 1 {
		m.next(ctx)
		return m.insertPart(ctx, conn, parts[0])
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, part := range parts {
		m.next(ctx)
		if err := m.insertPart(ctx, tx, part); err != nil {
			return errors.Join(err, rollback(tx))
		}
	}
	m.next(ctx)
	return tx.Commit()
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (m *MySQL) insertPart(ctx context.Context, to execer, rows []task.Row) error {
	statement, expiring := "insert_tasks", slices.ContainsFunc(rows, func(r task.Row) bool { return r.ExpiresMS != 0 })
	if expiring {
		statement = "insert_expiring_tasks"
	}
	stmt, args := withRows(m.sql[statement], rows, expiring)
	_, err := to.ExecContext(ctx, stmt, args...)
	return err
}

// withRows writes the placeholders of rows for {rows}, and returns their values, with expires_ms as the last
// of each row if expiring.
func withRows(stmt string, rows []task.Row, expiring bool) (string, []any) {
	mark := "(?,?,?,?,?,?,?,?),"
	if expiring {
		mark = "(?,?,?,?,?,?,?,?,?),"
	}
	marks := strings.TrimSuffix(strings.Repeat(mark, len(rows)), ",")
	args := make([]any, 0, 9*len(rows))
	for _, r := range rows {
		headers, payload := textArgs(r)
		args = append(args, r.NextMS, []byte(r.ID), r.DueMS, r.Ver, r.Attempt, r.CreatedMS, headers, payload)
		if expiring {
			args = append(args, sql.NullInt64{Int64: r.ExpiresMS, Valid: r.ExpiresMS != 0})
		}
	}
	return strings.Replace(stmt, "{rows}", marks, 1), args
}

// textArgs binds headers and payload: NULL where there are none.
func textArgs(r task.Row) (headers, payload any) {
	if r.Headers != "" {
		headers = []byte(r.Headers)
	}
	if len(r.Payload) > 0 {
		payload = r.Payload
	}
	return headers, payload
}

// rollback ends a transaction that failed. If it is over already, or its connection is gone, there is
// nothing to do.
func rollback(tx *sql.Tx) error {
	err := tx.Rollback()
	if errors.Is(err, sql.ErrTxDone) || connLost(err) || errors.Is(err, mysql.ErrInvalidConn) {
		return nil
	}
	return err
}
