package main

import (
	"slices"
	"testing"
	"time"
)

// flushed kills a process that holds a task, and lost the hot set under it.
func flushed(c *cell) {
	c.Helper()
	c.Lease = 5 * time.Second
	c.warm()
	c.create(time.Now(), "a")
	v := c.start(keeping)
	c.until("the process holds the task", func() bool { return slices.Equal(v.delivered(), []string{"a 1"}) })
	keys, err := c.rdb.Keys(c.Context(), "{"+c.Namespace+":*").Result()
	if err == nil {
		err = c.rdb.Del(c.Context(), keys...).Err()
	}
	if err != nil {
		c.Fatal(err)
	}
	v.died()
}

// No worker has registered the task: the new generation loads its row, and
// attempts begin anew.
func TestAHolderKilledBeforeItReadsWhatToRegisterIsForgotten(t *testing.T) {
	killedAt(t, "register/read", 1, func(c *cell) {
		flushed(c)
		c.holds(1, 0, 0)
		c.next(never).delivers("a 1")
	})
}

func TestAHolderKilledBeforeItRegistersIsForgotten(t *testing.T) {
	killedAt(t, "register/add", 1, func(c *cell) {
		flushed(c)
		c.holds(1, 0, 0)
		c.next(never).delivers("a 1")
	})
}

// The task is in a batch of the new generation. The feeder that loads its row
// leaves it there, and the reaper gives it back when the lease is over.
func TestAHolderKilledAfterItRegisteredLosesItsLease(t *testing.T) {
	killedAt(t, "register/end", 1, func(c *cell) {
		flushed(c)
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}
