package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of what workers that have nothing to do may cost, of all of them, with one
// partition.
const (
	commandsPerSecond = 20
	queriesPerSecond  = 5
	rowsPerMinute     = 1000
)

// idle measures what workers cost while the store is empty, and while tasks wait
// that are preloaded.
func idle(ctx context.Context, r *run) error {
	if err := r.up(ctx); err != nil {
		return err
	}
	pause(ctx, 5*time.Second) // for the commotion of a start
	if err := r.watch(ctx, "empty", r.size.span); err != nil {
		return err
	}
	if err := r.create(ctx); err != nil {
		return err
	}
	r.preloaded(ctx, r.size.tasks, time.Until(r.first)-r.size.span)
	pause(ctx, 5*time.Second) // on a busy machine adds are repeated for some seconds
	return r.watch(ctx, "loaded", min(r.size.span, time.Until(r.first)-time.Second))
}

// up waits until all workers listen to the first partition, which a worker that runs does.
func (r *run) up(ctx context.Context) error {
	channel := "{" + r.spec.Namespace + ":0}:wake"
	for end := time.Now().Add(time.Minute); ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		n, err := r.driver.rdb.PubSubNumSub(ctx, channel).Result()
		if err != nil {
			return fmt.Errorf("count who listens: %w", err)
		}
		if n[channel] >= int64(r.workers) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d workers listen to %s after a minute", n[channel], r.workers, channel)
		}
	}
	return ctx.Err()
}

// watch counts for d what reaches the servers.
func (r *run) watch(ctx context.Context, what string, d time.Duration) error {
	if d < time.Second {
		return fmt.Errorf("%s: no time is left to measure in", what)
	}
	before, err := r.cost(ctx)
	if err != nil {
		return err
	}
	pause(ctx, d)
	after, err := r.cost(ctx)
	if err != nil {
		return err
	}
	secs := after.at.Sub(before.at).Seconds()
	for _, c := range []struct {
		name  string
		value float64
		limit float64
	}{
		{what + "_redis_commands/s", (after.commands - before.commands) / secs, commandsPerSecond * float64(r.partitions)},
		{what + "_mysql_queries/s", (after.queries - before.queries) / secs, queriesPerSecond},
		{what + "_rows_read/min", (after.rows - before.rows) / secs * 60, rowsPerMinute},
	} {
		r.figure(c.name, c.value)
		r.below(c.name, c.value, c.limit)
	}
	return nil
}

// cost is what the servers have counted so far, what this program asks them
// included. Redis counts the commands inside scripts too.
type cost struct {
	at                      time.Time
	commands, queries, rows float64
}

func (r *run) cost(ctx context.Context) (c cost, err error) {
	c.at = time.Now()
	info, err := r.driver.rdb.Info(ctx, "stats").Result()
	if err != nil {
		return c, fmt.Errorf("count Redis commands: %w", err)
	}
	_, rest, _ := strings.Cut(info, "total_commands_processed:")
	n, _, _ := strings.Cut(rest, "\r\n")
	if c.commands, err = strconv.ParseFloat(n, 64); err != nil {
		return c, fmt.Errorf("count Redis commands: %w", err)
	}
	var err1, err2 error
	c.queries, err1 = r.status(ctx, "Questions")
	c.rows, err2 = r.status(ctx, "Innodb_rows_read")
	return c, errors.Join(err1, err2)
}

func (r *run) status(ctx context.Context, name string) (n float64, err error) {
	if err = r.driver.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &n); err != nil {
		err = fmt.Errorf("MySQL's %s: %w", name, err)
	}
	return n, err
}
