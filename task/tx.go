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
