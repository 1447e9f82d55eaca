package main

import (
	"slices"
	"testing"
	"time"
)

// claiming is an order to claim, hand out, and then confirm.
var claiming = order{Work: &work{Workers: 1, Confirms: 1}}

// was checks what the dead process had been delivered.
func (v *victim) was(want ...string) {
	v.c.Helper()
	if got := v.delivered(); !slices.Equal(got, want) {
		v.c.Errorf("killed at %s, after it was delivered %q, want %q", v.c.point, got, want)
	}
}

// Nothing happened: the task waits, and no attempt is counted.
func TestAClaimerKilledBeforeItClaimsHasTakenNothing(t *testing.T) {
	killedAt(t, "claim/take", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(claiming)
		c.holds(1, 1, 0)
		c.next(never).delivers("a 1")
	})
}

// What the script took is in a batch under a lease. The reaper gives it back, and
// that counts: a task that kills its worker is not tried for ever without a trace.
func TestAClaimerKilledAfterItClaimedLosesItsLease(t *testing.T) {
	killedAt(t, "claim/hand", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(claiming).was()
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// Handed out, and not answered.
func TestAClaimerKilledAfterItHandedOutLosesItsLease(t *testing.T) {
	killedAt(t, "claim/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(keeping)
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// The same before the read of payloads that are too long for the hot set.
func TestAClaimerKilledBeforeItReadsPayloadsLosesItsLease(t *testing.T) {
	killedAt(t, "claim/read", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "large")
		c.kill(claiming).was()
		c.holds(1, 0, 1)
		c.next(never).delivers("large 2")
	})
}

// A claimed member turned out to have no row; the reaper finds so too.
func TestAClaimerKilledBeforeItDropsAMemberWithoutARowLeavesItToTheReaper(t *testing.T) {
	killedAt(t, "claim/drop", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "large")
		c.deleteRow("large")
		c.kill(claiming).was()
		c.holds(0, 0, 1)
		c.next(never).delivers()
	})
}

func TestAClaimerKilledAfterItDroppedAMemberWithoutARowLeavesNothing(t *testing.T) {
	killedAt(t, "claim/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "large")
		c.deleteRow("large")
		c.kill(claiming).was()
		c.holds(0, 0, 0)
		c.create(time.Now(), "b")
		c.next(never).delivers("b 1")
	})
}

// A lease ends one lease after its last extension, whichever process sent that.
func TestAKeeperKilledBeforeItExtendsLosesItsLease(t *testing.T) {
	killedAt(t, "extend/renew", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(keeping).was("a 1")
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

func TestAKeeperKilledAfterItExtendedLosesItsLease(t *testing.T) {
	killedAt(t, "extend/end", 1, func(c *cell) {
		c.warm()
		c.create(time.Now(), "a")
		c.kill(keeping).was("a 1")
		c.holds(1, 0, 1)
		c.next(never).delivers("a 2")
	})
}

// keeping is an order to claim, hand out, and wait for an answer that never comes.
var keeping = order{Work: &work{Workers: 1, Then: "keep"}}
