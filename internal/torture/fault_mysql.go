package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// mysqlKill: kill -9 and restart.
func mysqlKill(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	return st.hit(history.Event{Kind: "mysqlkill", Blurs: true}, func() error {
		st.mysqlServer.Kill()
		hold(between(r, 0, 3*time.Second))
		return st.mysqlServer.Boot(context.Background())
	})
}

// mysqlReadOnly: MySQL takes no writes for a while.
func mysqlReadOnly(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	return st.hit(history.Event{Kind: "mysqlreadonly"}, func() error {
		if err := execute(st.db, "SET GLOBAL super_read_only = ON"); err != nil {
			return err
		}
		hold(between(r, 500*time.Millisecond, 5*time.Second))
		return execute(st.db, "SET GLOBAL read_only = OFF")
	})
}

// mysqlOffline: MySQL ends the connections of all ordinary users, and takes none of
// theirs for a while, as in maintenance.
func mysqlOffline(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	return st.hit(history.Event{Kind: "mysqloffline", Blurs: true}, func() error {
		if err := execute(st.db, "SET GLOBAL offline_mode = ON"); err != nil {
			return err
		}
		hold(between(r, 500*time.Millisecond, 5*time.Second))
		return execute(st.db, "SET GLOBAL offline_mode = OFF")
	})
}

// execer is a *sql.DB or a *sql.Conn.
type execer interface {
	ExecContext(ctx context.Context, stmt string, args ...any) (sql.Result, error)
}

// execute runs a statement that is to succeed. One that needs all to itself waits for the transactions of workers that are
// open, for longer than the library's sessions do, which the pool has too.
func execute(on execer, stmt string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*txTime)
	defer cancel()
	if db, is := on.(*sql.DB); is {
		conn, err := db.Conn(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
		defer conn.Close()
		on = conn
	}
	for _, stmt := range []string{fmt.Sprintf("SET SESSION lock_wait_timeout = %.0f", (2 * txTime).Seconds()), stmt} {
		if _, err := on.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return nil
}

// deadlocks: transactions lock tasks that are about to be confirmed by the primary
// key first and by their ids after that; the library's deletions go by the ids
// first. They have written more than those, so it is the library's that the server
// ends.
func deadlocks(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return st.hit(history.Event{Kind: "deadlock"}, func() error {
		if _, err := st.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS ballast (n INT)"); err != nil {
			return fmt.Errorf("deadlock: %w", err)
		}
		before := st.deadlocked(ctx)
		defer func() { st.deadlocks += st.deadlocked(ctx) - before }()
		for end := time.Now().Add(between(r, time.Second, 3*time.Second)); time.Now().Before(end); {
			if err := st.entangle(ctx); err != nil {
				return fmt.Errorf("deadlock: %w", err)
			}
		}
		return nil
	})
}

// entangle is one such transaction. It is rolled back; if it was the one to be
// ended, no harm is done either.
func (st *stage) entangle(ctx context.Context) error {
	tx, err := st.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for range 7 {
		if _, err := tx.ExecContext(ctx, "INSERT INTO ballast SELECT 1 FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) a,"+
			" (SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) b"); err != nil {
			return err
		}
	}
	now := history.Now() / 1000
	table := "SELECT id FROM " + st.ns + "_task "
	ids, err := column(ctx, tx, table+"FORCE INDEX (PRIMARY) WHERE next_ms BETWEEN ? AND ? FOR UPDATE", now-100, now+200)
	if err != nil {
		return nil // a lock wait
	}
	pause(ctx, 250*time.Millisecond) // deletions come to wait, with their ids locked
	for _, id := range ids {
		if _, err := column(ctx, tx, table+"FORCE INDEX (id) WHERE id = ? FOR UPDATE", []byte(id)); err != nil {
			return nil // a deadlock, or a lock wait
		}
	}
	return nil
}

// deadlocked is how many deadlocks MySQL has ended since it started; 0 if it does
// not say.
func (st *stage) deadlocked(ctx context.Context) (n int) {
	_ = st.db.QueryRowContext(ctx, "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'lock_deadlocks'").Scan(&n)
	return n
}

func column(ctx context.Context, tx *sql.Tx, query string, args ...any) (all []string, err error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
