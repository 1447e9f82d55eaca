package orders

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/triggerhook/triggerhook"
)

// WithGORM places an order with GORM. The *sql.Tx of a GORM transaction is its ConnPool. With the option PrepareStmt the
// ConnPool wraps it.
func WithGORM(ctx context.Context, db *gorm.DB, s *triggerhook.Scheduler, o Order, due time.Time, check Check) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&o).Error; err != nil { // the table is named orders, after the type
			return err
		}
		raw, err := txOfGORM(tx)
		if err != nil {
			return err
		}
		if err := s.CreateTx(ctx, raw, reminder(o, due)); err != nil {
			return err
		}
		return check(ctx)
	})
}

func txOfGORM(tx *gorm.DB) (*sql.Tx, error) {
	pool := tx.Statement.ConnPool
	if prepared, ok := pool.(*gorm.PreparedStmtTX); ok {
		pool = prepared.Tx
	}
	raw, ok := pool.(*sql.Tx)
	if !ok {
		return nil, fmt.Errorf("the pool of a GORM transaction is a %T, want a *sql.Tx", pool)
	}
	return raw, nil
}
