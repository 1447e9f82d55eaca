package triggerhook_test

import (
	"context"
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

// A handler that needs to know that its task is done confirms it itself, and waits with its
// own context. What Confirm answers is what became of the row.
func ExampleDelivery_Confirm() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := s.Create(ctx, &triggerhook.Task{ID: "invoice-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err = s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop()
		if err := d.Confirm(ctx); err != nil { // ErrGone: another worker was first, or it was deleted
			return err
		}
		fmt.Println(d.ID, "is done, and will not be delivered again")
		fmt.Println("its context ended after that:", errors.Is(context.Cause(ctx), triggerhook.ErrSettled))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// invoice-17 is done, and will not be delivered again
	// its context ended after that: true
}
