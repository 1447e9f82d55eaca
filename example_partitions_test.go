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

// What each partition of the hot set holds, and up to when it has loaded what falls due.
func ExampleScheduler_Partitions() {
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
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	partitions, err := s.Partitions(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range partitions {
		if p.Generation == 0 {
			fmt.Printf("partition %d is cold: no worker runs, or it is being rebuilt\n", p.Partition)
			continue
		}
		fmt.Printf("partition %d holds %d tasks, and has loaded the next %s\n", p.Partition, p.Waiting+p.InFlight, time.Until(p.Loaded))
	}
	// Output: partition 0 is cold: no worker runs, or it is being rebuilt
}
