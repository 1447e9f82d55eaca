package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook"
)

// pvelxPage reads the predecessor's tables in the order of their primary key. A task is a row of task, and its time, in whole seconds, is in
// the collection that it belongs to. A task has no payload there. The first page has no lower bound.
const pvelxPage = "SELECT t.uuid, c.exec_time FROM task t INNER JOIN collection c ON c.id = t.collection_id WHERE ? OR t.uuid > ? ORDER BY t.uuid LIMIT ?"

// openPvelx opens the database of github.com/pvelx/triggerhook.
func openPvelx(url string) (source, func() error, error) {
	dsn, err := mysqlDSN("--from-pvelx", url)
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--from-pvelx %q: %w", redacted(url), err)}
	}
	return func(ctx context.Context) iter.Seq2[placed, error] {
		return func(yield func(placed, error) bool) { pvelxTasks(ctx, db, yield) }
	}, db.Close, nil
}

// pvelxTasks yields all tasks, page by page, each page in a transaction that cannot write.
func pvelxTasks(ctx context.Context, db *sql.DB, yield func(placed, error) bool) {
	first, after := true, ""
	for {
		page, err := readPvelx(ctx, db, first, after)
		if err != nil {
			yield(placed{}, fmt.Errorf("read the predecessor's tables: %w", pvelxError(err)))
			return
		}
		for _, t := range page {
			if !yield(placed{t, fmt.Sprintf("task %q", t.ID)}, nil) {
				return
			}
			first, after = false, t.ID
		}
		if len(page) < batchTasks {
			return
		}
	}
}

func readPvelx(ctx context.Context, db *sql.DB, first bool, after string) (page []*triggerhook.Task, err error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // it has read; there is nothing to commit
	rows, err := tx.QueryContext(ctx, pvelxPage, first, after, batchTasks)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		t := &triggerhook.Task{}
		var seconds int64
		if err := rows.Scan(&t.ID, &seconds); err != nil {
			return nil, err
		}
		t.Due = time.Unix(seconds, 0).UTC()
		page = append(page, t)
	}
	return page, rows.Err()
}

// pvelxError adds to an error of the predecessor's server what the exit code goes by.
func pvelxError(err error) error {
	var answer *mysql.MySQLError
	if errors.As(err, &answer) {
		switch answer.Number {
		case 1044, 1045, 1142, 1143: // access denied: to the database, to the server, to a table, to a column
			return fmt.Errorf("%w: %w", triggerhook.ErrRefused, err)
		}
		return err
	}
	if unreachable := (net.Error)(nil); errors.As(err, &unreachable) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("%w: %w", triggerhook.ErrUnavailable, err)
	}
	return err
}
