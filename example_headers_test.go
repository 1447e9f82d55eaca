package triggerhook_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// tenantKey is under which tenanted puts a task's tenant into the context.
type tenantKey struct{}

// tenanted hands a task's tenant on to all that the handler calls.
func tenanted(next triggerhook.Handler) triggerhook.Handler {
	return func(ctx context.Context, d *triggerhook.Delivery) error {
		return next(context.WithValue(ctx, tenantKey{}, d.Headers["tenant"]), d)
	}
}

// Headers carry what belongs to no payload: here the tenant, which a Middleware puts into the handler's context.
func ExampleTask_headers() {
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
	s, err := triggerhook.New(store, set, triggerhook.Options{Middleware: []triggerhook.Middleware{tenanted}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	err = s.Create(ctx, &triggerhook.Task{ID: "bill-17", Due: time.Now(), Payload: []byte(`{"order":17}`),
		Headers: map[string]string{"tenant": "acme", "content-type": "application/json"}})
	if err != nil {
		log.Fatal(err)
	}
	err = s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop()
		fmt.Printf("%s for %v: %s of type %s\n", d.ID, ctx.Value(tenantKey{}), d.Payload, d.Headers["content-type"])
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// bill-17 for acme: {"order":17} of type application/json
}
