package task

import (
	"context"
	"database/sql"
)

// Tx is a transaction of the caller's own, which the caller commits or rolls back: a *sql.Tx, and what embeds one
// (sqlx.Tx, bun.Tx), or a wrapper with the same four methods. The library runs statements in it, and never calls
// Commit or Rollback. These two belong to Tx so that a *sql.DB or a *sql.Conn, in which each statement
// commits by itself, is refused by the compiler.
type Tx interface {
	// ExecContext runs a statement that returns no rows, as sql.Tx.ExecContext does.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	// QueryContext runs a statement that returns rows, as sql.Tx.QueryContext does.
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// Commit is never called by the library.
	Commit() error
	// Rollback is never called by the library.
	Rollback() error
}

// LockedRow is a row that a transaction of the caller's own has locked until its end.
type LockedRow struct {
	Ref
	PrevVer   int64 // as Row.PrevVer
	ExpiresMS int64 // as Row.ExpiresMS
	// Committed: the row has this version outside of the transaction too. Otherwise the transaction itself has
	// created or moved the row, and the hot set cannot hold this version.
	Committed bool
}

// Versions returns all versions that the hot set may hold of the task: the previous one, if there is one, and its own.
func (r LockedRow) Versions() []Ref { return Versions([]Row{{Ref: r.Ref, PrevVer: r.PrevVer}}) }

// OutboxEntry is an entry of the outbox: it asks to look at one version of a task, which a transaction of a caller
// has created, deleted or moved. If a row has that version it is to be added to the hot set, otherwise removed from it.
type OutboxEntry struct {
	Key int64 // random and never used twice, above 0
	Ref       // the version
}
