package durable_test

import (
	"fmt"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
)

// MySQL shares transactions with its callers, and the embedded store does not.
func ExampleTxConfirmer() {
	for _, store := range []durable.Store{&durable.MySQL{}, &bolt.Store{}} {
		_, is := store.(durable.TxConfirmer)
		fmt.Printf("%T %t\n", store, is)
	}
	// Output:
	// *durable.MySQL true
	// *bolt.Store false
}
