package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// dying stages a batch that no worker extends: its worker has died.
func dying(c *cell, ids ...string) {
	c.Helper()
	c.warm()
	c.create(time.Now(), ids...)
	b, err := c.set.Claim(c.Context(), 0, task.ClaimRequest{Token: "dead", Limit: 100, Lease: c.Lease})
	if err != nil || len(b.Claims) != len(ids) {
		c.Fatalf("%d of %d tasks claimed, %v", len(b.Claims), len(ids), err)
	}
}

// The batch stands as it is, and the next auditor reaps it.
func TestAReaperKilledBeforeItReadsRowsIsReplaced(t *testing.T) {
	killedAt(t, "reap/read", 1, func(c *cell) {
		dying(c, "a")
		c.kill(idle)
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// The next auditor reads the rows for itself.
func TestAReaperKilledBeforeItDropsWhatHasNoRowIsReplaced(t *testing.T) {
	killedAt(t, "reap/remove", 1, func(c *cell) {
		dying(c, "a", "b")
		c.deleteRow("b")
		c.kill(idle)
		c.holds(1, 0, 2)
		c.next(never).delivers("a 2")
	})
}

func TestAReaperKilledBetweenRemoveAndRequeueIsReplaced(t *testing.T) {
	killedAt(t, "reap/requeue", 1, func(c *cell) {
		dying(c, "a", "b")
		c.deleteRow("b")
		c.kill(idle)
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// The attempt is counted with the requeue, so not twice.
func TestAReaperKilledAfterItsRequeueHasCountedOnce(t *testing.T) {
	killedAt(t, "reap/end", 1, func(c *cell) {
		dying(c, "a")
		c.kill(idle)
		c.holds(1, 1, 0)
		c.next(never).delivers("a 2")
	})
}

// missing stages two rows that the feeder has read past and that an auditor finds at once: one whose
// member has a record but waits nowhere, and one without a member.
func missing(c *cell) {
	c.Helper()
	c.AuditGrace = 300 * time.Millisecond
	c.warm()
	c.create(time.Now(), "a")
	if n, err := c.rdb.Del(c.Context(), "{"+c.Namespace+":0}:waiting").Result(); err != nil || n != 1 {
		c.Fatalf("%d keys deleted, %v", n, err)
	}
	c.rows(time.Now(), "b")
	staged := time.Now()
	c.until("the first audit finds both", func() bool { return time.Since(staged) > c.AuditGrace+time.Millisecond })
}

// Nothing happened; the next auditor looks at the same rows.
func TestAnAuditorKilledBeforeItAsksIsReplaced(t *testing.T) {
	killedAt(t, "audit/find", 1, func(c *cell) {
		missing(c)
		c.kill(idle)
		c.holds(2, 0, 1)
		w := c.next(c.AuditGrace)
		w.delivers("a 1", "b 1")
		w.finds(2)
	})
}

// The question has dropped the orphan's record, so that an add takes it; the next
// auditor finds it absent.
func TestAnAuditorKilledBetweenFindAndAddIsReplaced(t *testing.T) {
	killedAt(t, "audit/add", 1, func(c *cell) {
		missing(c)
		c.kill(idle)
		c.holds(2, 0, 0)
		w := c.next(c.AuditGrace)
		w.delivers("a 1", "b 1")
		w.finds(2)
	})
}

func TestAnAuditorKilledAfterItsAddHasAdded(t *testing.T) {
	killedAt(t, "audit/end", 1, func(c *cell) {
		missing(c)
		c.kill(idle)
		c.holds(2, 2, 0)
		w := c.next(never)
		w.delivers("a 1", "b 1")
		w.finds(0)
	})
}
