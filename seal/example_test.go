package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/seal"
)

// Charge is what must not be read in a database's backup.
type Charge struct {
	Card  string
	Cents int
}

// newKey is what a secret store keeps.
func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return key
}

// typed.New takes the codec; here it is called as a Queue calls it.
func ExampleCodec() {
	ring, err := seal.NewRing("2026-11", map[string][]byte{"2026-11": newKey()})
	if err != nil {
		log.Fatal(err)
	}
	codec, err := seal.Codec[Charge](ring, nil)
	if err != nil {
		log.Fatal(err)
	}
	t := &triggerhook.Task{ID: "charge-17", Due: time.Now()}
	if err := codec.Encode(t, Charge{"4000 1234", 995}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Headers[seal.KeyHeader], bytes.Contains(t.Payload, []byte("4000")))
	c, err := codec.Decode(t)
	fmt.Println(c.Cents, err)
	// Output:
	// 2026-11 false
	// 995 <nil>
}

// A rotation: the old key opens what was sealed with it until it leaves the ring.
func ExampleNewRing() {
	november, december := newKey(), newKey()
	var last *triggerhook.Task
	for _, step := range []struct {
		current string
		keys    map[string][]byte
	}{
		{"11", map[string][]byte{"11": november}},
		{"11", map[string][]byte{"11": november, "12": december}}, // in all processes, before the next step
		{"12", map[string][]byte{"11": november, "12": december}},
		{"12", map[string][]byte{"12": december}}, // once no task is left that was sealed with 11
	} {
		ring, err := seal.NewRing(step.current, step.keys)
		if err != nil {
			log.Fatal(err)
		}
		codec, err := seal.Codec[int](ring, nil)
		if err != nil {
			log.Fatal(err)
		}
		if last != nil {
			_, err := codec.Decode(last)
			fmt.Printf("it opens what was sealed with %s: %t\n", last.Headers[seal.KeyHeader], err == nil)
		}
		last = &triggerhook.Task{ID: "a"}
		if err := codec.Encode(last, 1); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// it opens what was sealed with 11: true
	// it opens what was sealed with 11: true
	// it opens what was sealed with 12: true
}

// A payload that is copied into the row of another task does not open there.
func ExampleRing() {
	ring, err := seal.NewRing("k", map[string][]byte{"k": newKey()})
	if err != nil {
		log.Fatal(err)
	}
	codec, err := seal.Codec[int](ring, nil)
	if err != nil {
		log.Fatal(err)
	}
	t := &triggerhook.Task{ID: "refund-5-euro"}
	if err := codec.Encode(t, 5); err != nil {
		log.Fatal(err)
	}
	t.ID = "refund-9-euro"
	_, err = codec.Decode(t)
	fmt.Println(errors.Is(err, seal.ErrForged), err)
	// Output: true the payload was not sealed for this task with this key: task "refund-9-euro", key "k"
}
