package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqs is hibiken/asynq. Its durable store is Redis, which therefore flushes its
// log at each write here. It looks for due tasks by polling: at its default pace
// (5 s, and 1 s for an empty queue) it would be late by that; here it polls as
// often as does not load an idle Redis much.
type asynqs struct {
	rdb    *redis.Client
	sent   *sent
	client *asynq.Client
	insp   *asynq.Inspector
	queue  string
}

const (
	asynqPoll    = 100 * time.Millisecond
	asynqWorkers = 100
)

func openAsynq(j job) (system, error) {
	rdb, s := dial(j.Clients.Flushed)
	return &asynqs{rdb: rdb, sent: s, client: asynq.NewClientFromRedisClient(rdb), insp: asynq.NewInspectorFromRedisClient(rdb), queue: j.Name}, nil
}

// create rounds due up to a whole second: asynq keeps no more of it, and would be
// early. A task for at once is enqueued without a time.
func (a *asynqs) create(ctx context.Context, items []item) error {
	if len(items) != 1 {
		return cannot("asynq has no call that creates many tasks")
	}
	it := items[0]
	options := []asynq.Option{asynq.TaskID(it.id), asynq.Queue(a.queue)}
	if !it.now {
		options = append(options, asynq.ProcessAt(it.due.Add(time.Second-time.Nanosecond).Truncate(time.Second)))
	}
	_, err := a.client.EnqueueContext(ctx, asynq.NewTask("bench", it.payload), options...)
	return err
}

func (a *asynqs) delete(_ context.Context, ids []string) error {
	if len(ids) != 1 {
		return cannot("asynq has no call that deletes many tasks by their ids")
	}
	return a.insp.DeleteTask(a.queue, ids[0])
}

func (a *asynqs) fill(ctx context.Context, n int, at func(int) item) error {
	return each(ctx, n, 100, 64, func(ctx context.Context, from, to int) error {
		for _, it := range items(from, to, at) {
			if err := a.create(ctx, []item{it}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *asynqs) start(context.Context) error { return nil }

func (a *asynqs) hot(context.Context) (int, error) {
	return 0, cannot("asynq has one store: its figures are those from rows")
}

func (a *asynqs) consume(ctx context.Context, c consumption) error {
	srv := asynq.NewServerFromRedisClient(a.rdb, asynq.Config{Concurrency: asynqWorkers, Queues: map[string]int{a.queue: 1},
		TaskCheckInterval: asynqPoll, DelayedTaskCheckInterval: asynqPoll, LogLevel: asynq.FatalLevel})
	err := srv.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		c.deliver(id, time.Now())
		return nil
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

func (a *asynqs) settled(context.Context) (int, error) {
	info, err := a.info()
	return info.ProcessedTotal, err
}

func (a *asynqs) left(context.Context, int) (int, error) {
	info, err := a.info()
	return info.Size, err
}

// info is zero for a queue that was never used.
func (a *asynqs) info() (asynq.QueueInfo, error) {
	names, err := a.insp.Queues()
	if err == nil && !slices.Contains(names, a.queue) {
		return asynq.QueueInfo{}, nil
	}
	var info *asynq.QueueInfo
	if err == nil {
		info, err = a.insp.GetQueueInfo(a.queue)
	}
	if err != nil {
		return asynq.QueueInfo{}, fmt.Errorf("ask asynq: %w", err)
	}
	return *info, nil
}

func (a *asynqs) calls() int64 { return a.sent.n.Load() }

// close removes what is left, for the next measurement's sake.
func (a *asynqs) close() error {
	return errors.Join(unlinkAll(context.Background(), a.rdb, "asynq:*"), a.rdb.Close())
}

// unlinkAll removes the keys that match a pattern.
func unlinkAll(ctx context.Context, rdb *redis.Client, pattern string) error {
	const page = 10_000
	var keys []string
	it := rdb.Scan(ctx, 0, pattern, page).Iterator()
	for it.Next(ctx) {
		if keys = append(keys, it.Val()); len(keys) == page {
			if err := rdb.Unlink(ctx, keys...).Err(); err != nil {
				return fmt.Errorf("remove keys: %w", err)
			}
			keys = keys[:0]
		}
	}
	err := it.Err()
	if len(keys) > 0 && err == nil {
		err = rdb.Unlink(ctx, keys...).Err()
	}
	if err != nil {
		return fmt.Errorf("remove keys: %w", err)
	}
	return nil
}

// unlink is unlinkAll at an address.
func unlink(ctx context.Context, addr, pattern string) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	return errors.Join(unlinkAll(ctx, rdb, pattern), rdb.Close())
}
