package durable_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/task"
)

// The Store of a service on MySQL. It has a *sql.DB of its own, whose pool is as large as the
// statements that the library has under way at once. NewMySQL does no I/O: Migrate is the first
// call that needs the server.
func ExampleNewMySQL() {
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", "127.0.0.1:3306", "shop"
	config.User, config.Passwd = "scheduler", os.Getenv("MYSQL_PASSWORD")
	config.InterpolateParams = true // saves a round trip a statement
	config.Timeout = 2 * time.Second
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close() // after Run or Handle has returned
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	store, err := durable.NewMySQL(db, durable.Options{Namespace: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("tables of", store.Namespace())
	// Output: tables of orders
}

// A namespace is a prefix of tables and keys, so few characters are legal in it.
func ExampleNewMySQL_invalid() {
	_, err := durable.NewMySQL(nil, durable.Options{Namespace: "Orders"})
	fmt.Println(err)
	// Output:
	// new MySQL store: invalid: db is nil
	// invalid: namespace "Orders" does not match [a-z][a-z0-9_]{0,31}
}

// All unfinished tasks of a Store, page by page in the order of their due times: for an export,
// or to move to another server while nothing runs.
func ExampleStore() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file, err := bolt.Open(filepath.Join(dir, "tasks"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	var store durable.Store = file // or what NewMySQL returns
	ctx := context.Background()
	if err := store.Migrate(ctx, 1); err != nil {
		log.Fatal(err)
	}
	var rows []task.Row
	for _, id := range []string{"a", "b", "c"} {
		rows = append(rows, task.Row{Ref: task.Ref{ID: id, Ver: task.NewVer()}, Payload: []byte("of " + id)})
	}
	if err := store.Create(ctx, rows); err != nil {
		log.Fatal(err)
	}
	const page = 2
	var after task.Cursor
	for {
		found, err := store.Scan(ctx, after, task.MaxDue, page, 1<<20)
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range found {
			fmt.Printf("%s: %s\n", r.ID, r.Payload)
			after = r.Cursor()
		}
		if len(found) < page {
			break
		}
	}
	// Output:
	// a: of a
	// b: of b
	// c: of c
}

// Whether a Store changes rows in transactions of callers: what NewMySQL returns does, the embedded store does not.
func ExampleTxStore() {
	for _, store := range []durable.Store{&durable.MySQL{}, &bolt.Store{}} {
		_, is := store.(durable.TxStore)
		fmt.Printf("%T: %v\n", store, is)
	}
	// Output:
	// *durable.MySQL: true
	// *bolt.Store: false
}
