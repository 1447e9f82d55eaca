package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// span is how far ahead the due times are spread.
	span = 48 * time.Hour
	// dead is how many dead letters there are for each 100 tasks.
	dead = 1
	// chunk is how many rows a statement writes.
	chunk = 500_000
)

// faster writes without what protects against a crash, and slower is how the servers of the tests run.
const (
	faster = "SET GLOBAL innodb_flush_log_at_trx_commit = 0, GLOBAL sync_binlog = 0, GLOBAL innodb_buffer_pool_size = 4294967296, SESSION sql_log_bin = 0, SESSION cte_max_recursion_depth = 1000000"
	slower = "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL sync_binlog = 1, GLOBAL innodb_buffer_pool_size = 268435456"
)

// numbers is a table n of chunk numbers from a number on.
const numbers = "WITH RECURSIVE n (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM n WHERE n < ?) "

// insertTasks writes tasks in the order of their times: an ID is tenant-TTTT/order-NNNNNNNN, where the order of the numbers
// is not that of the times. Each task has a payload of about 100 bytes. One in a hundred has a header priority, and one of all has a header rare.
const insertTasks = "INSERT INTO large_task (next_ms, id, due_ms, ver, created_ms, headers, payload) " + numbers +
	`SELECT ? + n * ? DIV 1000, CONCAT('tenant-', LPAD(n * 7919 % ? DIV 10000, 4, '0'), '/order-', LPAD(n * 7919 % ?, 8, '0')), ? + n * ? DIV 1000, n + 1, ?,
  CASE WHEN n = ? THEN '{"rare":"1"}' WHEN n % 100 = 0 THEN '{"priority":"high"}' END, RPAD(CONCAT('{"mail":"trial-ends","customer":', n, ',"text":"'), 100, 'x') FROM n`

const insertDead = "INSERT INTO large_dead (dead_ms, id, ver, due_ms, created_ms, attempt, reason, last_error, payload) " + numbers +
	"SELECT ? - n, CONCAT('dead-', LPAD(n, 8, '0')), n + 1, ? - n, ? - n, 3, 'attempts', 'smtp: 451 try again later', REPEAT('x', 100) FROM n"

// fill makes sure that the namespace has so many tasks that are due from now on. Those of an earlier run are kept while most of them are not due yet.
func fill(ctx context.Context, db *sql.DB, rows int) error {
	var last sql.NullInt64
	err := db.QueryRowContext(ctx, "SELECT MAX(next_ms) FROM large_task").Scan(&last)
	if err != nil || time.UnixMilli(last.Int64).After(time.Now().Add(span/2)) {
		return err
	}
	conn, err := db.Conn(ctx) // the statements need the settings of one session
	if err != nil {
		return err
	}
	defer func() { report(conn.Close()) }()
	for _, text := range []string{faster, "TRUNCATE large_task", "TRUNCATE large_dead", "ALTER TABLE large_task DROP INDEX id"} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	err = insert(ctx, conn, rows)
	for _, text := range []string{"ALTER TABLE large_task ADD UNIQUE INDEX id (id)", "ANALYZE TABLE large_task", "ANALYZE TABLE large_dead", slower} {
		_, failed := conn.ExecContext(ctx, text)
		err = errors.Join(err, failed)
	}
	return err
}

func insert(ctx context.Context, conn *sql.Conn, rows int) error {
	now := time.Now().UnixMilli()
	step := span.Microseconds() / int64(rows) // between two tasks
	for from := 0; from < rows; from += chunk {
		to := min(from+chunk, rows)
		if _, err := conn.ExecContext(ctx, insertTasks, from, to-1, now, step, rows, rows, now, step, now, rows/2); err != nil {
			return err
		}
		fmt.Printf("%d tasks\n", to)
	}
	for from := 0; from < rows*dead/100; from += chunk {
		if _, err := conn.ExecContext(ctx, insertDead, from, min(from+chunk, rows*dead/100)-1, now, now, now); err != nil {
			return err
		}
	}
	return nil
}
