package hook_test

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
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// A task's life, as its hooks are told of it.
func ExampleHooks() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := triggerhook.New(store, set, triggerhook.Options{Hooks: hook.Hooks{
		Created:   func(e hook.Created) { fmt.Println("created", e.Tasks[0].ID) },
		Delivered: func(e hook.Delivered) { fmt.Println("delivered", e.ID, "attempt", e.Attempt) },
		Confirmed: func(e hook.Confirmed) {
			fmt.Println("confirmed", e.Tasks[0].ID)
			stop()
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := s.Create(ctx, &triggerhook.Task{ID: "tea", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err = s.Handle(ctx, 1, func(context.Context, *triggerhook.Delivery) error { return nil })
	if err := errors.Join(err, store.Close(), os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// created tea
	// delivered tea attempt 1
	// confirmed tea
}
