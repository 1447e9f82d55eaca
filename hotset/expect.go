package hotset

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/triggerhook/triggerhook/task"
)

// NewGeneration returns a number for a generation: random, and below 2^53, because Lua
// holds numbers as doubles.
func NewGeneration() int64 { return 1 + rand.Int64N(1<<53-2) }

// expectation is what the last call of Expect said that the durable store records.
type expectation struct {
	identity    string
	generations []int64 // by partition; nil: Expect was not called
	pause       task.Pause
}

// isCurrent returns a function that reports whether a generation of partition p is current. Any is, before Expect was called.
func (e expectation) isCurrent(p int) func(generation int64) bool {
	return func(generation int64) bool { return e.generations == nil || e.generations[p] == generation }
}

// Expect implements Set.
func (r *Redis) Expect(e task.Expected) error {
	if err := CheckExpected(r.config, e); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expected.identity != "" && r.expected.identity != e.Identity {
		return fmt.Errorf("expect: %w", mismatch(r.config.Namespace, r.expected.identity, e.Identity))
	}
	if r.expected.generations != nil && !slices.Equal(r.expected.generations, e.Generations) {
		signal(r.moved)
	}
	r.expected = expectation{e.Identity, e.Generations, r.expected.pause.Newest(e.Pause)}
	return nil
}

// CheckExpected reports whether a Set with that Config can take e: the error matches task.ErrInvalid.
func CheckExpected(c Config, e task.Expected) error {
	for _, b := range []byte(e.Identity) {
		if b < '0' || b > '9' && b < 'A' || b > 'Z' && b < 'a' || b > 'z' {
			return fmt.Errorf("expect: %w: identity %q, want letters and digits alone", task.ErrInvalid, e.Identity)
		}
	}
	if e.Identity == "" || len(e.Generations) != c.Partitions {
		return fmt.Errorf("expect: %w: identity %q and generations of %d partitions, want one and %d", task.ErrInvalid, e.Identity, len(e.Generations), c.Partitions)
	}
	return nil
}

// caller returns the first argument of each script of partition p (prelude.lua), and the identity in it.
func (r *Redis) caller(p int) (text, identity string) {
	r.mu.Lock()
	expected := r.expected
	r.mu.Unlock()
	text = strconv.Itoa(r.config.Partitions) + " " + expected.identity + " "
	if expected.generations != nil {
		text += strconv.FormatInt(expected.generations[p], 10)
	}
	if pause := expected.pause; pause.Seq > 0 {
		text += fmt.Sprintf(" %d %d", pause.Seq, pause.UntilMS)
	}
	return text, expected.identity
}

// mismatch is the error for a hot set that belongs to another durable store. It says how to mend that.
func mismatch(ns, of, own string) error {
	return fmt.Errorf("%w: the hot set of namespace %q belongs to the durable store with identity %s, this process works with that of identity %s. "+
		"If another database uses this Redis, one of the two needs another namespace (or Redis database); if this database was made anew, "+
		"remove the keys of the old one: all that begin with {%s: in Redis", task.ErrMismatch, ns, of, own, ns)
}
