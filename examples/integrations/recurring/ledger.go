package main

import (
	"context"
	"database/sql"
	"time"
)

// ledger has a row for each occurrence that was done, and one of the year 1 for a job that was started.
type ledger struct{ db *sql.DB }

func (l ledger) migrate(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS runs (job VARCHAR(64), at_s BIGINT, tries INT NOT NULL, PRIMARY KEY (job, at_s)) ENGINE=InnoDB")
	return err
}

// once runs do in a transaction that records an occurrence. If it is recorded already, once counts that it was tried again
// and does nothing else. Two transactions that record the same occurrence wait for each other, because of the primary key.
func (l ledger) once(ctx context.Context, job string, at time.Time, do func(*sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	done, err := tx.ExecContext(ctx, "INSERT INTO runs (job, at_s, tries) VALUES (?, ?, 1) ON DUPLICATE KEY UPDATE tries = tries + 1", job, at.Unix())
	if err != nil {
		return err
	}
	n, err := done.RowsAffected() // 1: inserted, 2: updated
	if err != nil {
		return err
	}
	if n == 1 {
		if err := do(tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}
