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

	"github.com/triggerhook/triggerhook/internal/batch"
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
//     read. A row with its own version was inserted by a try whose answer was
//     lost. A call with an id of another version fails alone.
//  3. What is left goes back to 1.
//  4. On a lock wait (1205: a user's transaction holds one of the rows) each call
//     goes alone, so that one row holds up nobody else.
func (m *MySQL) Create(ctx context.Context, rows []task.Row) error {
	_, err := m.creates.Do(ctx, slices.Clone(rows))
	if err != nil {
		return fmt.Errorf("create %d tasks: %w", len(rows), err)
	}
	return nil
}

// share is a call's share of a statement in rows: of maxRows, or of the packet.
func (m *MySQL) share(rows []task.Row) int {
	n := 0
	for _, r := range rows {
		n += m.rowShare(r)
	}
	return n
}

func (m *MySQL) rowShare(r task.Row) int {
	const rowOverhead = 120 // numbers, placeholders and escapes
	size := int64(rowOverhead + 2*len(r.ID) + 2*len(r.Payload))
	return int(max(1, (size*maxRows+m.budget()-1)/m.budget()))
}

// budget is how many bytes a statement may have: at most half a packet, and
// 4 MiB until the server has told its own or if it takes more.
func (m *MySQL) budget() int64 {
	const most = 4 << 20
	if p := m.packet.Load(); p > 0 {
		return min(most, p/2)
	}
	return most
}

// createAll is the Flush of Create.
func (m *MySQL) createAll(calls [][]task.Row) []batch.Result[struct{}] {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	res := make([]batch.Result[struct{}], len(calls))
	var first, later []int // later: calls with an id that an earlier call has too
	seen := map[string]bool{}
	for i, rows := range calls {
		if slices.ContainsFunc(rows, func(r task.Row) bool { return seen[r.ID] }) {
			later = append(later, i)
			continue
		}
		for _, r := range rows {
			seen[r.ID] = true
		}
		first = append(first, i)
	}
	m.createCalls(ctx, calls, first, res)
	for _, i := range later {
		m.createCalls(ctx, calls, []int{i}, res)
	}
	return res
}

// createCalls inserts the calls of that index, whose ids are distinct, and puts
// their results into res.
func (m *MySQL) createCalls(ctx context.Context, calls [][]task.Row, index []int, res []batch.Result[struct{}]) {
	open := make(map[int][]task.Row, len(index))
	for _, i := range index {
		open[i] = calls[i]
	}
	err := m.retry(ctx, "insert", func(conn *sql.Conn) error {
		for len(open) > 0 {
			err := m.insert(ctx, conn, open)
			if err == nil {
				return nil
			}
			if number(err) != 1062 {
				return err
			}
			if err := m.sift(ctx, conn, open, res); err != nil {
				return err
			}
		}
		return nil
	})
	if number(err) == 1205 && len(open) > 1 {
		for i := range open {
			m.createCalls(ctx, calls, []int{i}, res)
		}
		return
	}
	for i := range open {
		res[i].Err = err
	}
}

// sift takes out of open what exists: own rows, and the calls of others' rows.
func (m *MySQL) sift(ctx context.Context, conn *sql.Conn, open map[int][]task.Row, res []batch.Result[struct{}]) error {
	var ids []string
	for _, rows := range open {
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
	}
	vers, err := m.versions(ctx, conn, ids)
	if err != nil {
		return err
	}
	for i, rows := range open {
		var taken []string
		var missing []task.Row
		for _, r := range rows {
			switch ver, ok := vers[r.ID]; {
			case !ok:
				missing = append(missing, r)
			case ver != r.Ver:
				taken = append(taken, r.ID)
			}
		}
		switch {
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

// insert puts all rows in, in one commit.
func (m *MySQL) insert(ctx context.Context, conn *sql.Conn, open map[int][]task.Row) error {
	var rows []task.Row
	for _, r := range open {
		rows = append(rows, r...)
	}
	slices.SortFunc(rows, func(a, b task.Row) int {
		return cmp.Or(cmp.Compare(a.DueMS, b.DueMS), strings.Compare(a.ID, b.ID))
	})
	parts := m.split(rows)
	if len(parts) == 1 {
		return m.insertPart(ctx, conn, rows)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := m.insertPart(ctx, tx, part); err != nil {
			return errors.Join(err, rollback(tx))
		}
	}
	return tx.Commit()
}

// split cuts rows into statements.
func (m *MySQL) split(rows []task.Row) [][]task.Row {
	var parts [][]task.Row
	start, weight := 0, 0
	for i, r := range rows {
		w := m.rowShare(r)
		if i > start && weight+w > maxRows {
			parts = append(parts, rows[start:i])
			start, weight = i, 0
		}
		weight += w
	}
	return append(parts, rows[start:])
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (m *MySQL) insertPart(ctx context.Context, to execer, rows []task.Row) error {
	marks := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?),", len(rows)), ",")
	args := make([]any, 0, 7*len(rows))
	for _, r := range rows {
		var payload any
		if len(r.Payload) > 0 {
			payload = r.Payload
		}
		args = append(args, r.DueMS, []byte(r.ID), r.ExecMS, r.Ver, r.Attempt, r.CreatedMS, payload)
	}
	_, err := to.ExecContext(ctx, strings.Replace(m.sql["insert_tasks"], "{rows}", marks, 1), args...)
	return err
}

// rollback ends a transaction that failed; one that is over already, or whose
// connection is gone, needs no end.
func rollback(tx *sql.Tx) error {
	err := tx.Rollback()
	if errors.Is(err, sql.ErrTxDone) || lost(err) || errors.Is(err, mysql.ErrInvalidConn) {
		return nil
	}
	return err
}
