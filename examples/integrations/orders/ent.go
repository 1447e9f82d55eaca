package orders

import (
	"context"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/triggerhook/triggerhook"
)

// WithEnt places an order with ent's SQL driver and builder. A program with generated code makes a client on the same
// transaction, and uses that in place of the builder:
//
//	client := ent.NewClient(ent.Driver(entsql.NewDriver(dialect.MySQL, tx.Conn)))
//	client.Order.Create().SetID(o.ID).SetCents(o.Cents).Save(ctx)
func WithEnt(ctx context.Context, driver *entsql.Driver, s *triggerhook.Scheduler, o Order, due time.Time, check Check) error {
	begun, err := driver.Tx(ctx)
	if err != nil {
		return err
	}
	defer begun.Rollback()
	tx, ok := begun.(*entsql.Tx)
	if !ok {
		return fmt.Errorf("a transaction of ent is a %T, want an *entsql.Tx", begun)
	}
	insert, args := entsql.Dialect(dialect.MySQL).Insert("orders").Columns("id", "cents").Values(o.ID, o.Cents).Query()
	if err := tx.Exec(ctx, insert, args, nil); err != nil {
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
