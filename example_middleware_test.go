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

// errNoSuchUser is what a handler answers that no later attempt can help.
var errNoSuchUser = errors.New("no such user")

// skipHopeless drops a task whose error no later attempt can mend: it says so, and confirms.
func skipHopeless(next triggerhook.Handler) triggerhook.Handler {
	return func(ctx context.Context, d *triggerhook.Delivery) error {
		err := next(ctx, d)
		if errors.Is(err, errNoSuchUser) {
			fmt.Printf("%s is dropped: %v\n", d.ID, err)
			return nil
		}
		return err
	}
}

// logged says when a handler begins, and how it ends.
func logged(next triggerhook.Handler) triggerhook.Handler {
	return func(ctx context.Context, d *triggerhook.Delivery) error {
		fmt.Printf("%s begins, attempt %d\n", d.ID, d.Attempt)
		err := next(ctx, d)
		fmt.Printf("%s ends: %v\n", d.ID, err)
		return err
	}
}

// Middleware wraps the handler of Handle. The first is the outermost, so skipHopeless answers
// what logged has seen.
func ExampleMiddleware() {
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
	s, err := triggerhook.New(store, set, triggerhook.Options{Middleware: []triggerhook.Middleware{skipHopeless, logged}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := s.Create(ctx, &triggerhook.Task{ID: "remind-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err = s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop()
		return errNoSuchUser
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// remind-17 begins, attempt 1
	// remind-17 ends: no such user
	// remind-17 is dropped: no such user
}
