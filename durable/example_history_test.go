package durable_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/task"
)

// How a row ended stays when the row is gone.
func ExampleHistorian() {
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
	var store durable.Historian = file // or what NewMySQL returns
	ctx, ref := context.Background(), task.Ref{ID: "a", Ver: task.NewVer()}
	if err := store.Migrate(ctx, 1); err != nil {
		log.Fatal(err)
	}
	if err := store.Create(ctx, []task.Row{{Ref: ref, DueMS: 5}}); err != nil {
		log.Fatal(err)
	}
	deleted, err := store.End(ctx, []task.Ending{{Ref: ref, How: task.EndConfirmed, EndedMS: 7, Attempt: 1, Worker: "w"}})
	if err != nil {
		log.Fatal(err)
	}
	kept, err := store.History(ctx, "a", 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range kept {
		fmt.Println(deleted, e.ID, e.How, "at", e.EndedMS, "due at", e.DueMS, "by", e.Worker)
	}
	// Output: [true] a confirmed at 7 due at 5 by w
}

// MySQL keeps history in transactions of callers, and the embedded store has no such transactions.
func ExampleTxHistorian() {
	for _, store := range []durable.Historian{&durable.MySQL{}, &bolt.Store{}} {
		_, is := store.(durable.TxHistorian)
		fmt.Printf("%T %t\n", store, is)
	}
	// Output:
	// *durable.MySQL true
	// *bolt.Store false
}
