package bolt_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/task"
)

// One file holds all tasks. A process has it to itself until it closes it.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tasks.bolt")
	store, err := bolt.Open(path, bolt.Options{Namespace: "mail"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_, err = bolt.Open(path, bolt.Options{Namespace: "mail"})
	fmt.Println(store.Namespace(), "is open; a second time:", errors.Is(err, task.ErrInvalid))
	// Output: mail is open; a second time: true
}

// Close comes after Run or Handle has returned. What was stored is there when the file is opened
// again.
func ExampleStore_Close() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("closed:", store.Close())
	}
	// Output:
	// closed: <nil>
	// closed: <nil>
}
