package triggerhook_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// openTx opens a Scheduler on the embedded pair, as ExampleNew does, in a folder that end
// removes.
func openTx(o triggerhook.Options) (s *triggerhook.Scheduler, end func()) {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "tasks"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if s, err = triggerhook.New(store, set, o); err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// inTx runs do in a transaction of db, and commits it if do answers nil.
func inTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// An order and its reminder in one transaction: both exist, or none. A process that dies right after the commit leaves a
// reminder that fires. It needs durable.NewMySQL: the embedded store, on which this Example runs, answers ErrUnsupported.
func ExampleScheduler_CreateTx() {
	s, end := openTx(triggerhook.Options{})
	defer end()
	insertOrder := func(ctx context.Context, tx *sql.Tx, id string) error {
		if err := s.CreateTx(ctx, tx, &triggerhook.Task{ID: "remind/" + id, Due: time.Now().Add(24 * time.Hour)}); err != nil {
			return err // and roll tx back
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id)
		return err
	}
	placeOrder := func(ctx context.Context, db *sql.DB, id string) error { // db has the tasks' database
		return inTx(ctx, db, func(tx *sql.Tx) error { return insertOrder(ctx, tx, id) })
	}
	_ = placeOrder // what a program on MySQL calls
	fmt.Println(errors.Is(insertOrder(context.Background(), &sql.Tx{}, "17"), triggerhook.ErrUnsupported))
	// Output: true
}

// An order and its reminder are cancelled in one transaction, on MySQL.
func ExampleScheduler_DeleteTx() {
	s, end := openTx(triggerhook.Options{})
	defer end()
	deleteOrder := func(ctx context.Context, tx *sql.Tx, id string) error {
		err := s.DeleteTx(ctx, tx, "remind/"+id)
		if err != nil && !errors.Is(err, triggerhook.ErrNotFound) { // ErrNotFound: it was sent already
			return err // and roll tx back
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM orders WHERE id = ?", id)
		return err
	}
	cancelOrder := func(ctx context.Context, db *sql.DB, id string) error { // db has the tasks' database
		return inTx(ctx, db, func(tx *sql.Tx) error { return deleteOrder(ctx, tx, id) })
	}
	_ = cancelOrder // what a program on MySQL calls
	fmt.Println(deleteOrder(context.Background(), &sql.Tx{}, "17"))
	// Output: delete in a transaction: not supported by this store: a transaction of the caller's own needs durable.NewMySQL
}

// An order's delivery and its reminder move in one transaction, on MySQL.
func ExampleScheduler_RescheduleTx() {
	s, end := openTx(triggerhook.Options{})
	defer end()
	moveOrder := func(ctx context.Context, tx *sql.Tx, id string, to time.Time) error {
		if err := s.RescheduleTx(ctx, tx, "remind/"+id, to.Add(-time.Hour)); err != nil {
			return err // and roll tx back
		}
		_, err := tx.ExecContext(ctx, "UPDATE orders SET delivery = ? WHERE id = ?", to, id)
		return err
	}
	postponeOrder := func(ctx context.Context, db *sql.DB, id string, to time.Time) error { // db has the tasks' database
		return inTx(ctx, db, func(tx *sql.Tx) error { return moveOrder(ctx, tx, id, to) })
	}
	_ = postponeOrder // what a program on MySQL calls
	fmt.Println(errors.Is(moveOrder(context.Background(), &sql.Tx{}, "17", time.Now()), triggerhook.ErrUnsupported))
	// Output: true
}

// A handler that writes in the transaction that confirms its task: the row in table sale is written exactly once, on MySQL.
func ExampleDelivery_ConfirmTx() {
	s, end := openTx(triggerhook.Options{})
	defer end()
	book := func(ctx context.Context, tx *sql.Tx, d *triggerhook.Delivery) error {
		if err := d.ConfirmTx(ctx, tx); err != nil { // ErrGone: another delivery has committed
			return err // and roll tx back
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO sale (id, body) VALUES (?, ?)", d.ID, d.Payload)
		return err
	}
	sale := func(db *sql.DB) triggerhook.Handler { // db has the tasks' database
		return func(ctx context.Context, d *triggerhook.Delivery) error {
			return inTx(ctx, db, func(tx *sql.Tx) error { return book(ctx, tx, d) })
		}
	}
	_ = sale // on MySQL: s.Handle(ctx, 8, sale(db))

	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "sale-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop()
		fmt.Println(errors.Is(book(ctx, &sql.Tx{}, d), triggerhook.ErrUnsupported))
		return triggerhook.Discard("no transactions here")
	})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
