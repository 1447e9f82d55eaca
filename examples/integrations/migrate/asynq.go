// Package migrate moves tasks that wait in another scheduler to Trigger Hook. docs/migration.md goes through it.
//
// Each function may be repeated after an error or a crash: a task's ID is made of its old one, and a task that is there already is
// kept (Upsert). Call it again until it returns nil.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/triggerhook/triggerhook"
)

// page is how many tasks are moved at a time.
const page = 500

// FromAsynq moves the scheduled tasks of a queue that are due at or after a time. What is due before stays: asynq's own workers may take it at
// any moment. It returns how many tasks were moved.
func FromAsynq(ctx context.Context, from *asynq.Inspector, queue string, to *triggerhook.Scheduler, atOrAfter time.Time) (moved int, err error) {
	all, err := scheduled(from, queue, atOrAfter)
	if err != nil {
		return 0, err
	}
	for some := range slices.Chunk(all, page) {
		tasks := make([]*triggerhook.Task, len(some))
		for i, t := range some {
			tasks[i] = ofAsynq(t)
		}
		if _, err := to.Upsert(ctx, triggerhook.Keep, tasks...); err != nil { // Trigger Hook has them from here on
			return moved, err
		}
		for _, t := range some {
			if err := from.DeleteTask(queue, t.ID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
				return moved, fmt.Errorf("delete task %q from asynq: %w", t.ID, err)
			}
			moved++
		}
	}
	return moved, nil
}

// ofAsynq is a task of asynq as one of Trigger Hook, with its type in a header.
func ofAsynq(t *asynq.TaskInfo) *triggerhook.Task {
	return &triggerhook.Task{ID: "asynq/" + t.Queue + "/" + t.ID, Due: t.NextProcessAt, Payload: t.Payload, Headers: map[string]string{"type": t.Type}}
}

// scheduled lists tasks before any is deleted, because the pages of a list move when something in them is.
func scheduled(from *asynq.Inspector, queue string, atOrAfter time.Time) (all []*asynq.TaskInfo, err error) {
	for n := 1; ; n++ {
		some, err := from.ListScheduledTasks(queue, asynq.PageSize(page), asynq.Page(n))
		if err != nil {
			return nil, fmt.Errorf("list the scheduled tasks of asynq's queue %q: %w", queue, err)
		}
		if len(some) == 0 {
			return all, nil
		}
		for _, t := range some {
			if !t.NextProcessAt.Before(atOrAfter) {
				all = append(all, t)
			}
		}
	}
}
