package consumer

import (
	"time"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/hooks"
)

// Hooks are the caller's code, so none is called under mu. An event is made only if its hook is not nil.

// event is d as hooks are told of it.
func (d *Delivery) event() hook.Task {
	t := hook.Task{ID: d.own.ID, Attempt: d.failedAttempts + 1}
	if d.dueMS > 0 {
		t.Due = time.UnixMilli(d.dueMS).UTC()
	}
	return t
}

// events is event of each of ds.
func events(ds []*Delivery) []hook.Task {
	all := make([]hook.Task, len(ds))
	for i, d := range ds {
		all[i] = d.event()
	}
	return all
}

// tellClaimed tells of the tasks of a claim.
func (c *Consumer) tellClaimed(b *batch) {
	if f := c.o.Hooks.Claimed; f != nil {
		hooks.Call(c.o.Report, "Claimed", f, hook.Claimed{Partition: b.p, Tasks: events(b.members)})
	}
}

// tellDelivered tells of a task that a caller gets now.
func (c *Consumer) tellDelivered(d *Delivery) {
	f := c.o.Hooks.Delivered
	if f == nil {
		return
	}
	c.mu.Lock()
	late := c.reading.now().Sub(time.UnixMilli(d.nextMS))
	c.mu.Unlock()
	hooks.Call(c.o.Report, "Delivered", f, hook.Delivered{Task: d.event(), Late: max(0, late)})
}

// tellConfirmed tells which of a group have their rows deleted: those without an error.
func (c *Consumer) tellConfirmed(ds []*Delivery, outcomes []error) {
	f := c.o.Hooks.Confirmed
	if f == nil {
		return
	}
	var done []*Delivery
	for i, d := range ds {
		if outcomes[i] == nil {
			done = append(done, d)
		}
	}
	if len(done) > 0 {
		hooks.Call(c.o.Report, "Confirmed", f, hook.Confirmed{Tasks: events(done)})
	}
}

// tellDead tells which of a group are dead letters: those without an error.
func (c *Consumer) tellDead(group []burial, outcomes []error) {
	f := c.o.Hooks.Dead
	if f == nil {
		return
	}
	var dead []hook.DeadTask
	for i, b := range group {
		if err := outcomes[i]; err == nil {
			dead = append(dead, hook.DeadTask{Task: b.d.event(), Reason: b.reason, LastError: b.text})
		}
	}
	if len(dead) > 0 {
		hooks.Call(c.o.Report, "Dead", f, hook.Dead{Tasks: dead})
	}
}

func (c *Consumer) tellFailed(d *Delivery, err error) {
	if f := c.o.Hooks.Failed; f != nil {
		hooks.Call(c.o.Report, "Failed", f, hook.Failed{Task: d.event(), Err: err})
	}
}

// tellLeaseLost tells of those of b that have lost their lease.
func (c *Consumer) tellLeaseLost(b *batch, lost []*Delivery) {
	if f := c.o.Hooks.LeaseLost; f != nil && len(lost) > 0 {
		hooks.Call(c.o.Report, "LeaseLost", f, hook.LeaseLost{Partition: b.p, Tasks: events(lost)})
	}
}
