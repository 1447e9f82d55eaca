package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"
)

// mysqlKill: kill -9 and restart.
func mysqlKill(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	return st.hit("mysqlkill", "", false, func() error {
		st.mysqlServer.Kill()
		hold(between(r, 0, 3*time.Second))
		return st.mysqlServer.Boot(context.Background())
	})
}

// mysqlReadOnly: MySQL takes no writes for a while.
func mysqlReadOnly(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	set := func(stmt string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := st.db.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
		return nil
	}
	return st.hit("mysqlreadonly", "", false, func() error {
		if err := set("SET GLOBAL super_read_only = ON"); err != nil {
			return err
		}
		hold(between(r, 500*time.Millisecond, 5*time.Second))
		return set("SET GLOBAL read_only = OFF")
	})
}

// deadlocks: transactions lock tasks that are about to be confirmed, the last
// first, which is against the order of the library's statements. They hold more
// than those, so that it is the library's that the server ends.
func deadlocks(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return st.hit("deadlock", "", false, func() error {
		if _, err := st.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS ballast (n INT)"); err != nil {
			return fmt.Errorf("deadlock: %w", err)
		}
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
	ids, err := st.column(ctx, "SELECT id FROM "+st.ns+"_task ORDER BY due_ms LIMIT 12")
	if err != nil {
		return err
	}
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
	for i := len(ids) - 1; i >= 0; i-- {
		if _, err := tx.ExecContext(ctx, "DO (SELECT COUNT(*) FROM (SELECT id FROM "+st.ns+"_task WHERE id = ? FOR UPDATE) x)", []byte(ids[i])); err != nil {
			break // a deadlock, or a lock wait
		}
		pause(ctx, 10*time.Millisecond)
	}
	return nil
}

func (st *stage) column(ctx context.Context, query string) (all []string, err error) {
	rows, err := st.db.QueryContext(ctx, query)
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
