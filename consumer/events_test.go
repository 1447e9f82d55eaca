package consumer

import (
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

// Hooks that are nil cost nothing: no event is made.
func TestHooksThatAreNilAllocateNothing(t *testing.T) {
	c := New(nil, nil, Options{Partitions: 1})
	ds := []*Delivery{{own: task.Ref{ID: "a"}}, {own: task.Ref{ID: "b"}}}
	b, outcomes := &batch{members: ds}, make([]error, len(ds))
	n := testing.AllocsPerRun(100, func() {
		c.tellClaimed(b)
		c.tellDelivered(ds[0])
		c.tellConfirmed(ds, outcomes)
		c.tellFailed(ds[0], task.ErrGone)
		c.tellLeaseLost(b, ds)
	})
	if n != 0 {
		t.Errorf("%v allocations without hooks, want none", n)
	}
}
