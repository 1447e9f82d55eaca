package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/triggerhook/triggerhook"
)

// FromRiver moves the scheduled jobs that are due at or after a time, and marks them as cancelled in river. What is due before stays: river makes
// it available some seconds ahead. It returns how many jobs were moved.
func FromRiver(ctx context.Context, from *pgx.Conn, to *triggerhook.Scheduler, atOrAfter time.Time) (moved int, err error) {
	for {
		n, err := pageOfRiver(ctx, from, to, atOrAfter)
		if moved += n; err != nil || n == 0 {
			return moved, err
		}
	}
}

// pageOfRiver moves a page in one transaction, which holds the jobs' rows until Trigger Hook has the tasks.
func pageOfRiver(ctx context.Context, from *pgx.Conn, to *triggerhook.Scheduler, atOrAfter time.Time) (n int, err error) {
	err = pgx.BeginFunc(ctx, from, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, kind, args, scheduled_at FROM river_job
			WHERE state = 'scheduled' AND scheduled_at >= $1 ORDER BY scheduled_at, id LIMIT $2 FOR UPDATE`, atOrAfter, page)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[riverJob])
		if err != nil || len(jobs) == 0 {
			return err
		}
		tasks, ids := make([]*triggerhook.Task, len(jobs)), make([]int64, len(jobs))
		for i, j := range jobs {
			tasks[i], ids[i] = j.task(), j.ID
		}
		if _, err := to.Upsert(ctx, triggerhook.Keep, tasks...); err != nil {
			return err
		}
		n = len(jobs)
		_, err = tx.Exec(ctx, `UPDATE river_job SET state = 'cancelled', finalized_at = now() WHERE id = ANY($1)`, ids)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("move a page of river's jobs: %w", err)
	}
	return n, nil
}

// riverJob is what is moved of a row of river_job.
type riverJob struct {
	ID          int64
	Kind        string
	Args        []byte // JSON
	ScheduledAt time.Time
}

// task is a job as a task, with its kind in a header.
func (j riverJob) task() *triggerhook.Task {
	return &triggerhook.Task{ID: fmt.Sprintf("river/%d", j.ID), Due: j.ScheduledAt, Payload: j.Args, Headers: map[string]string{"type": j.Kind}}
}
