package orders

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/triggerhook/triggerhook"
)

// WithSqlx places an order with sqlx. An *sqlx.Tx embeds a *sql.Tx, and is passed as it is.
func WithSqlx(ctx context.Context, db *sqlx.DB, s *triggerhook.Scheduler, o Order, due time.Time, check Check) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.NamedExecContext(ctx, "INSERT INTO orders (id, cents) VALUES (:id, :cents)", o); err != nil {
		return err
	}
	if err := s.CreateTx(ctx, tx, reminder(o, due)); err != nil {
		return err
	}
	if err := check(ctx); err != nil {
		return err
	}
	return tx.Commit()
}
