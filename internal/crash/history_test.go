package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// kept checks which ends of a task the history has.
func (c *cell) kept(id string, want ...triggerhook.EndKind) {
	c.Helper()
	all, err := c.sch.History(c.Context(), id)
	if err != nil {
		c.Fatal(err)
	}
	if len(all) != len(want) || len(want) > 0 && all[0].How != want[0] {
		c.Errorf("killed at %s: the history of %q is %+v, want %v", c.point, id, all, want)
	}
}

// The transaction is not committed: the task is delivered again, and ends once in the history.
func TestAConfirmKilledWithItsHistoryWrittenIsRedelivered(t *testing.T) {
	killedAt(t, "confirm/history", 1, func(c *cell) {
		c.KeepHistory = true
		c.warm()
		c.create(time.Now(), "a")
		c.kill(claiming).was("a 1")
		c.holds(1, 0, 1)
		c.kept("a")
		c.next(never).delivers("a 2")
		c.kept("a", triggerhook.EndConfirmed)
	})
}
