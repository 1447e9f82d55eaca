package triggerhook_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// Which workers are alive, what each holds, and which one feeds the hot set.
func ExampleScheduler_Workers() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Worker: "mailer-1"})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	workers, err := s.Workers(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, w := range workers {
		fmt.Println(w.Name, "has", w.Stats.InHand, "tasks in hand; roles:", w.Roles)
	}
	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output: mailer-1 has 0 tasks in hand; roles: [feeder reaper auditor]
}
