package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// rivers is riverqueue/river on PostgreSQL. It fetches each 100 ms, and again
// 1 ms after it has found some; that it moves scheduled jobs every 5 s ahead of their time cannot be changed.
type rivers struct {
	pool    *pgxpool.Pool
	client  *river.Client[pgx.Tx]
	deliver atomic.Pointer[func(id string, at time.Time)]

	mu   sync.Mutex
	jobs map[string]int64 // its own ids
}

const riverWorkers = 1000

// riverJob is a task as river knows it.
type riverJob struct {
	ID      string `json:"id"`
	Payload string `json:"payload"`
}

// Kind names the kind of job, as river asks.
func (riverJob) Kind() string { return "bench" }

// riverWorker delivers.
type riverWorker struct {
	river.WorkerDefaults[riverJob]
	to *rivers
}

// Work delivers a job.
func (w *riverWorker) Work(_ context.Context, job *river.Job[riverJob]) error {
	(*w.to.deliver.Load())(job.Args.ID, time.Now())
	return nil
}

func openRiver(ctx context.Context, j job, fresh bool) (system, error) {
	if fresh {
		admin, err := pgx.Connect(ctx, j.Clients.Postgres+"/postgres")
		if err == nil {
			_, err = admin.Exec(ctx, "CREATE DATABASE "+j.Name)
			err = errors.Join(err, admin.Close(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("create database: %w", err)
		}
	}
	pool, err := pgxpool.New(ctx, j.Clients.Postgres+"/"+j.Name+"?pool_max_conns=32")
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	r := &rivers{pool: pool, jobs: map[string]int64{}}
	if fresh {
		m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		}
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{to: r})
	r.client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{Workers: workers, Logger: slog.New(slog.DiscardHandler),
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
		FetchCooldown: time.Millisecond, FetchPollInterval: 100 * time.Millisecond})
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// insertOf leaves the time of a task for at once to river, which then does not wait for the next look at scheduled jobs.
func insertOf(it item) river.InsertManyParams {
	p := river.InsertManyParams{Args: riverJob{it.id, string(it.payload)}, InsertOpts: &river.InsertOpts{}}
	if !it.now {
		p.InsertOpts.ScheduledAt = it.due
	}
	return p
}

func (r *rivers) create(ctx context.Context, items []item) error {
	if len(items) == 1 {
		p := insertOf(items[0])
		res, err := r.client.Insert(ctx, p.Args, p.InsertOpts)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.jobs[items[0].id] = res.Job.ID
		return nil
	}
	all := make([]river.InsertManyParams, len(items))
	for i, it := range items {
		all[i] = insertOf(it)
	}
	res, err := r.client.InsertMany(ctx, all)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, j := range res {
		r.jobs[items[i].id] = j.Job.ID
	}
	return nil
}

func (r *rivers) delete(ctx context.Context, ids []string) error {
	own := make([]int64, len(ids))
	r.mu.Lock()
	for i, id := range ids {
		own[i] = r.jobs[id]
	}
	r.mu.Unlock()
	if len(own) == 1 {
		_, err := r.client.JobDelete(ctx, own[0])
		return err
	}
	res, err := r.client.JobDeleteMany(ctx, river.NewJobDeleteManyParams().IDs(own...).First(len(own)))
	if err == nil && len(res.Jobs) != len(own) {
		err = fmt.Errorf("of %d jobs %d were there", len(own), len(res.Jobs))
	}
	return err
}

func (r *rivers) fill(ctx context.Context, n int, at func(int) item) error {
	return each(ctx, n, 1000, 4, func(ctx context.Context, from, to int) error { return r.create(ctx, items(from, to, at)) })
}

func (r *rivers) start(context.Context) error { return nil }

func (r *rivers) hot(context.Context) (int, error) {
	return 0, cannot("river has one store: its figures are those from rows")
}

func (r *rivers) consume(ctx context.Context, c consumption) error {
	r.deliver.Store(&c.deliver)
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return r.client.Stop(stop)
}

func (r *rivers) settled(ctx context.Context) (n int, err error) {
	_ = pause(ctx, 50*time.Millisecond) // the count reads all jobs
	err = r.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&n)
	return n, err
}

func (r *rivers) left(ctx context.Context, limit int) (n int, err error) {
	err = r.pool.QueryRow(ctx, "SELECT count(*) FROM (SELECT 1 FROM river_job WHERE state IN "+
		"('available', 'scheduled', 'running', 'retryable', 'pending') LIMIT $1) AS unfinished", limit+1).Scan(&n)
	return n, err
}

func (r *rivers) calls() int64 { return -1 }

func (r *rivers) close() error {
	r.pool.Close()
	return nil
}
