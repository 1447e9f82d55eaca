package triggerhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook"
)

// placeOrder places an order and its reminder in one transaction: both exist, or none. A process that dies right after the commit
// leaves a reminder that fires.
func placeOrder(ctx context.Context, db *sql.DB, s *triggerhook.Scheduler, id string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
		return err
	}
	if err := s.CreateTx(ctx, tx, &triggerhook.Task{ID: "remind/" + id, Due: time.Now().Add(24 * time.Hour)}); err != nil {
		return err
	}
	return tx.Commit()
}

// A task that is created together with other rows. The embedded store has no such transactions; durable.NewMySQL has.
func ExampleScheduler_CreateTx() {
	_ = placeOrder // the program's own function, on MySQL

	s, end := openScheduler(triggerhook.Options{})
	defer end()
	err := s.CreateTx(context.Background(), &sql.Tx{}, &triggerhook.Task{Due: time.Now()})
	fmt.Println(errors.Is(err, triggerhook.ErrUnsupported))
	// Output: true
}

// cancelOrder cancels an order and its reminder in one transaction.
func cancelOrder(ctx context.Context, tx *sql.Tx, s *triggerhook.Scheduler, id string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM orders WHERE id = ?", id); err != nil {
		return err
	}
	err := s.DeleteTx(ctx, tx, "remind/"+id)
	if errors.Is(err, triggerhook.ErrNotFound) {
		return nil // it was sent already
	}
	return err
}

// A task that is deleted together with other rows.
func ExampleScheduler_DeleteTx() {
	_ = cancelOrder // the program's own function, on MySQL

	s, end := openScheduler(triggerhook.Options{})
	defer end()
	fmt.Println(s.DeleteTx(context.Background(), &sql.Tx{}, "remind/17"))
	// Output: delete in a transaction: not supported by this store: a transaction of the caller's own needs durable.NewMySQL
}

// postponeOrder moves an order's delivery and its reminder in one transaction.
func postponeOrder(ctx context.Context, tx *sql.Tx, s *triggerhook.Scheduler, id string, to time.Time) error {
	if _, err := tx.ExecContext(ctx, "UPDATE orders SET delivery = ? WHERE id = ?", to, id); err != nil {
		return err
	}
	return s.RescheduleTx(ctx, tx, "remind/"+id, to.Add(-time.Hour))
}

// A task that is moved together with other rows.
func ExampleScheduler_RescheduleTx() {
	_ = postponeOrder // the program's own function, on MySQL

	s, end := openScheduler(triggerhook.Options{})
	defer end()
	err := s.RescheduleTx(context.Background(), &sql.Tx{}, "remind/17", time.Now())
	fmt.Println(errors.Is(err, triggerhook.ErrUnsupported))
	// Output: true
}
