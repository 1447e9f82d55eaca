package orders

import (
	"context"
	"database/sql"
	"time"

	"github.com/triggerhook/triggerhook"
)

// WithSQL places an order with database/sql.
func WithSQL(ctx context.Context, db *sql.DB, s *triggerhook.Scheduler, o Order, due time.Time, check Check) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id, cents) VALUES (?, ?)", o.ID, o.Cents); err != nil {
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
