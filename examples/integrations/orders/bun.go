package orders

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/triggerhook/triggerhook"
)

// WithBun places an order with bun. A bun.Tx formats the statements that it is given, so the *sql.Tx in it is passed.
func WithBun(ctx context.Context, db *bun.DB, s *triggerhook.Scheduler, o Order, due time.Time, check Check) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&o).Exec(ctx); err != nil { // the table is named orders, after the type
			return err
		}
		if err := s.CreateTx(ctx, tx.Tx, reminder(o, due)); err != nil {
			return err
		}
		return check(ctx)
	})
}
