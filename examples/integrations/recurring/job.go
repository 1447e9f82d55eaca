package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook"
)

// Job is work that recurs. Exactly one task stands for it at any time: its next occurrence.
type Job struct {
	Name string
	Next Schedule
	// Run does the work of one occurrence in a transaction. It is called once more if that was rolled back.
	Run func(ctx context.Context, tx *sql.Tx, at time.Time) error
}

// id names an occurrence. All workers, and all tries of one worker, give it the same id, so that Create
// makes one task of it.
func (j Job) id(at time.Time) string { return j.Name + "@" + at.UTC().Format(time.RFC3339) }

// occurrence returns what occurrence an id stands for. The task's own due time is no measure of
// that, because a Reschedule changes it.
func (j Job) occurrence(id string) (time.Time, error) {
	text, ok := strings.CutPrefix(id, j.Name+"@")
	if !ok {
		return time.Time{}, fmt.Errorf("task %q is no occurrence of job %q", id, j.Name)
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("task %q: %w", id, err)
	}
	return at, nil
}

// create creates the first occurrence after a time, in a transaction. That it exists is no error.
func (j Job) create(ctx context.Context, s *triggerhook.Scheduler, tx *sql.Tx, after time.Time) error {
	next, err := j.Next(after)
	if err != nil {
		return fmt.Errorf("job %q: %w", j.Name, err)
	}
	err = s.CreateTx(ctx, tx, &triggerhook.Task{ID: j.id(next), Due: next})
	if errors.Is(err, triggerhook.ErrExists) {
		return nil
	}
	return err
}

// start creates the first occurrence of a job that has never been started.
func (j Job) start(ctx context.Context, s *triggerhook.Scheduler, l ledger) error {
	return l.once(ctx, j.Name, time.Time{}, func(tx *sql.Tx) error { return j.create(ctx, s, tx, time.Now()) })
}

// handle does three things in one transaction: it records the occurrence, does its work, and creates the next one. After
// that Handle confirms this one. A crash before the commit leaves this occurrence alone, which is delivered again.
// A crash after the commit leaves both, and the record, by which the second delivery of this one is confirmed at once.
//
// The next occurrence is the first after this one, not after now: what was missed while no worker ran is
// made up for, one after another.
func (j Job) handle(ctx context.Context, s *triggerhook.Scheduler, l ledger, d *triggerhook.Delivery) error {
	at, err := j.occurrence(d.ID)
	if err != nil {
		return err
	}
	step("begin")
	err = l.once(ctx, j.Name, at, func(tx *sql.Tx) error {
		if err := j.Run(ctx, tx, at); err != nil {
			return err
		}
		if err := j.create(ctx, s, tx, at); err != nil {
			return err
		}
		step("commit")
		return nil
	})
	step("confirm")
	return err
}

// step is where a test ends the process.
var step = func(string) {}
