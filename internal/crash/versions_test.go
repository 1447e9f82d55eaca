package main

import (
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// The process that moves a row may die before the old version has left the hot set. The row names
// that version, so a call that deletes the task, or moves it again, removes it too (docs/model,
// versions.pml).

// moved leaves what a rescheduler leaves that died between Move and remove.
func (c *cell) moved(id string, due time.Time) task.Row {
	c.Helper()
	old := c.row(id)
	to := old
	to.Ver, to.NextMS, to.DueMS = old.Ver+1000, due.UnixMilli(), due.UnixMilli()
	if moved, err := c.store.Move(c.Context(), old.Ref, to); !moved || err != nil {
		c.Fatalf("move the row of %q: %t, %v", id, moved, err)
	}
	return to
}

// deletes deletes a task, after which neither store holds anything of it. The hot set
// is young, so that it may answer ErrClaimed.
func (c *cell) deletes(id string) {
	c.Helper()
	if err := c.sch.Delete(c.Context(), id); err != nil && !errors.Is(err, triggerhook.ErrClaimed) {
		c.Fatalf("killed at %s, and Delete of %q: %v", c.point, id, err)
	}
	c.holds(0, 0, 0)
}

func laterBy(d time.Duration) order {
	return order{Reschedule: &triggerhook.Task{ID: "a", Due: time.Now().Add(d)}}
}

func TestWhatADeadReschedulerLeftIsDeleted(t *testing.T) {
	killedAt(t, "reschedule/remove", 1, func(c *cell) {
		c.warm()
		c.create(time.Now().Add(time.Second), "a")
		c.kill(laterBy(time.Hour))
		c.holds(1, 1, 0)
		c.deletes("a")
		c.next(never).delivers()
	})
}

// movingOn has a rescheduler die that met what another one had left.
func movingOn(c *cell) {
	c.Helper()
	c.warm()
	c.create(time.Now().Add(time.Second), "a")
	c.moved("a", time.Now().Add(time.Hour))
	c.kill(laterBy(2 * time.Hour))
}

// Two reschedulers died, the second before it took along what the first had left.
func TestWhatADeadReschedulerLeftIsDeletedAfterItDiedTwice(t *testing.T) {
	killedAt(t, "reschedule/previous", 1, func(c *cell) {
		movingOn(c)
		c.holds(1, 1, 0)
		c.deletes("a")
		c.next(never).delivers()
	})
}

func TestAReschedulerSweepsBeforeItMovesOn(t *testing.T) {
	killedAt(t, "reschedule/move", 1, func(c *cell) {
		movingOn(c)
		c.holds(1, 0, 0)
		c.deletes("a")
		c.next(never).delivers()
	})
}

// sweeping has a worker roll back a task beyond the horizon whose old version is in the
// hands of a worker that died.
func sweeping(c *cell) {
	c.Helper()
	c.Window = time.Second
	c.warm()
	c.create(time.Now(), "a")
	if b, err := c.set.Claim(c.Context(), 0, task.ClaimRequest{Token: "dead", Limit: 1, Lease: time.Hour}); err != nil || len(b.Claims) != 1 {
		c.Fatalf("claim the old version: %+v, %v", b, err)
	}
	to := c.moved("a", time.Now())
	asOf, err := c.set.Clock(c.Context(), 0)
	if err == nil {
		e := task.Entry{Ref: to.Ref, NextMS: to.NextMS, DueMS: to.DueMS, Payload: to.Payload}
		_, err = c.set.Add(c.Context(), 0, task.AddRequest{AsOf: asOf, Entries: []task.Entry{e}})
	}
	if err != nil {
		c.Fatal(err)
	}
	c.kill(returning(5 * time.Second)).was("a 1")
}

// Nothing was swept: the row names the old version still.
func TestAPostponementKilledBeforeItSweepsLosesItsLease(t *testing.T) {
	killedAt(t, "postpone/previous", 1, func(c *cell) {
		sweeping(c)
		c.holds(1, 0, 2)
		c.deletes("a")
	})
}

func TestAPostponementSweepsBeforeItMovesOn(t *testing.T) {
	killedAt(t, "postpone/move", 1, func(c *cell) {
		sweeping(c)
		c.holds(1, 0, 1)
		c.deletes("a")
	})
}

func TestWhatADeadPostponementLeftIsDeleted(t *testing.T) {
	killedAt(t, "postpone/remove", 1, func(c *cell) {
		postponing(c)
		c.holds(1, 0, 1)
		c.deletes("a")
		c.next(never).delivers()
	})
}
