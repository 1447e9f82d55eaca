package local_test

import (
	"fmt"
	"log"

	"github.com/triggerhook/triggerhook/hotset/local"
)

// The hot set of a single process. It ends with the process, and is built anew from the durable
// store at the next start.
func ExampleNew() {
	set, err := local.New(local.Options{Namespace: "mail"})
	if err != nil {
		log.Fatal(err)
	}
	c := set.Config()
	fmt.Println(c.Namespace, c.Partitions, c.InProcess)
	// Output: mail 1 true
}
