package main

import (
	"context"
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
	// Run does the work of one occurrence. It may be called again for an occurrence that it has done, if a
	// worker dies right after it, so it records the occurrence in the same transaction as its effect.
	Run func(ctx context.Context, at time.Time) error
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

// create creates the first occurrence after a time. That it exists is no error.
func (j Job) create(ctx context.Context, s *triggerhook.Scheduler, after time.Time) error {
	next, err := j.Next(after)
	if err != nil {
		return fmt.Errorf("job %q: %w", j.Name, err)
	}
	err = s.Create(ctx, &triggerhook.Task{ID: j.id(next), Due: next})
	if errors.Is(err, triggerhook.ErrExists) {
		return nil
	}
	return err
}

// handle does the work of one occurrence, creates the next one, and has Handle confirm this one. In this order
// a crash loses nothing: until the next occurrence exists this one does, and is delivered again.
//
// The next occurrence is the first after this one, not after now: what was missed while no worker ran is
// made up for, one after another.
func (j Job) handle(ctx context.Context, s *triggerhook.Scheduler, d *triggerhook.Delivery) error {
	at, err := j.occurrence(d.ID)
	if err != nil {
		return err
	}
	step("work")
	if err := j.Run(ctx, at); err != nil {
		return err
	}
	step("create")
	if err := j.create(ctx, s, at); err != nil {
		return err
	}
	step("confirm")
	return nil
}

// step is where a test ends the process.
var step = func(string) {}
