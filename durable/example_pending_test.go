package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// offline is a Store whose server does not answer, for Examples that have none.
func offline() (store *durable.MySQL, end func() error) {
	db, err := sql.Open("mysql", "scheduler@tcp(127.0.0.1:1)/shop")
	if err != nil {
		log.Fatal(err)
	}
	if store, err = durable.NewMySQL(db, durable.Options{}); err != nil {
		log.Fatal(err)
	}
	return store, db.Close
}

// A deployment asks before it begins whether tables have to be changed, in a company where programs may not.
func ExampleSchema() {
	behind := func(s durable.Schema) bool { return s.Version < s.Library }
	fmt.Println(behind(durable.Schema{Version: 3, Library: 4, Compatible: 1}), behind(durable.Schema{Version: 4, Library: 4, Compatible: 1}))
	// Output: true false
}

// The versions of the tables and of this library.
func ExampleMySQL_Schema() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	store, end := offline()
	defer end()
	s, err := store.Schema(ctx)
	if errors.Is(err, task.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		fmt.Println("the server does not answer; this library has a version:", s.Library > 0)
		return
	}
	fmt.Println("tables", s.Version, "library", s.Library)
	// Output: the server does not answer; this library has a version: true
}

// The statements that are left, for a database administrator to run.
func ExampleMySQL_MigrationSQL() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	store, end := offline()
	defer end()
	script, err := store.MigrationSQL(ctx, 1)
	if err != nil {
		fmt.Println("nothing was written: the server does not answer")
		return
	}
	if err := os.WriteFile("schema.sql", []byte(script), 0o600); err != nil {
		log.Fatal(err)
	}
	// Output: nothing was written: the server does not answer
}
