package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// hook is this library, on either pair of stores.
type hook struct {
	sch    *triggerhook.Scheduler
	store  *counted
	set    hotset.Set
	sent   *sent // nil: no Redis
	single bool  // one process only
	closes []io.Closer

	run  sync.WaitGroup
	stop context.CancelFunc
	err  error // of Run
}

// counted counts the rows that a store deleted: a confirm that has landed.
type counted struct {
	durable.Historian
	deleted atomic.Int64
}

// Delete deletes, and counts what was.
func (c *counted) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	gone, err := c.Historian.Delete(ctx, refs)
	c.count(gone)
	return gone, err
}

// End is Delete with history.
func (c *counted) End(ctx context.Context, ends []task.Ending) ([]bool, error) {
	gone, err := c.Historian.End(ctx, ends)
	c.count(gone)
	return gone, err
}

func (c *counted) count(gone []bool) {
	n := 0
	for _, d := range gone {
		if d {
			n++
		}
	}
	c.deleted.Add(int64(n))
}

// sent counts the commands that a client sends.
type sent struct{ n atomic.Int64 }

// DialHook leaves connections alone.
func (s *sent) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook counts a command.
func (s *sent) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.n.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook counts the commands of a pipeline.
func (s *sent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

// dial opens a client that counts what it sends.
func dial(addr string) (*redis.Client, *sent) {
	rdb, s := redis.NewClient(&redis.Options{Addr: addr}), &sent{}
	rdb.AddHook(s)
	return rdb, s
}

// database opens a job's database; fresh makes it.
func database(ctx context.Context, dsn, name string, fresh bool) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	cfg.InterpolateParams = true    // one round trip a statement, as the library recommends
	cfg.Logger = &mysql.NopLogger{} // it writes down each lost connection, of which the calls tell too
	if fresh {
		admin, err := sql.Open("mysql", cfg.FormatDSN())
		if err == nil {
			_, err = admin.ExecContext(ctx, "CREATE DATABASE "+name)
			err = errors.Join(err, admin.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("create database: %w", err)
		}
	}
	cfg.DBName = name
	to, err := mysql.NewConnector(cfg) // a DSN has no logger
	if err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	db := sql.OpenDB(to)
	db.SetMaxIdleConns(32)
	return db, nil
}

func openTriggerhook(ctx context.Context, j job, fresh bool) (system, error) {
	db, err := database(ctx, j.Clients.MySQL, j.Name, fresh)
	if err != nil {
		return nil, err
	}
	rdb, s := dial(j.Clients.Redis)
	h := &hook{sent: s, closes: []io.Closer{rdb, db}}
	if fresh {
		h.closes = append([]io.Closer{dropper{db, rdb, j.Name}}, h.closes...)
	}
	store, err := durable.NewMySQL(db, durable.Options{Namespace: j.Name})
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: j.Name, Partitions: j.Partitions})
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, h.open(ctx, j, store, set, fresh)
}

func openEmbedded(ctx context.Context, j job) (system, error) {
	store, err := bolt.Open(filepath.Join(j.Dir, "tasks.db"), bolt.Options{Namespace: j.Name})
	if err != nil {
		return nil, err
	}
	set, err := local.New(local.Options{Namespace: j.Name})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	h := &hook{single: true, closes: []io.Closer{store}}
	return h, h.open(ctx, j, store, set, true)
}

// dropper drops a job's database and namespace, which its measurement has done with:
// what it left would count as memory of the next.
type dropper struct {
	db   *sql.DB
	rdb  *redis.Client
	name string
}

// Close drops them.
func (d dropper) Close() error {
	if _, err := d.db.Exec("DROP DATABASE " + d.name); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	ctx := context.Background()
	keys, err := d.rdb.Keys(ctx, "{"+d.name+":*").Result()
	if err == nil && len(keys) > 0 {
		err = d.rdb.Unlink(ctx, keys...).Err()
	}
	if err != nil {
		return fmt.Errorf("drop namespace: %w", err)
	}
	return nil
}

func (h *hook) open(ctx context.Context, j job, store durable.Historian, set hotset.Set, fresh bool) error {
	h.store, h.set = &counted{Historian: store}, set
	o := triggerhook.Options{Logger: slog.New(slog.DiscardHandler), HotTasks: j.Variant.HotTasks}
	if j.Variant.History {
		o.History.Retention = 24 * time.Hour
	}
	if j.Scenario != "recovery" { // transactions of the caller's own need the store itself
		store = h.store
	}
	sch, err := triggerhook.New(store, set, o)
	if err == nil && fresh {
		err = sch.Migrate(ctx)
	}
	h.sch = sch
	return err
}

func (h *hook) create(ctx context.Context, items []item) error {
	tasks := make([]*triggerhook.Task, len(items))
	for i, it := range items {
		tasks[i] = &triggerhook.Task{ID: it.id, Due: it.due, Payload: it.payload}
	}
	return h.sch.Create(ctx, tasks...)
}

func (h *hook) delete(ctx context.Context, ids []string) error { return h.sch.Delete(ctx, ids...) }

// fill goes around the hot set.
func (h *hook) fill(ctx context.Context, n int, at func(int) item) error {
	return each(ctx, n, 1000, 4, func(ctx context.Context, from, to int) error {
		rows := make([]task.Row, 0, to-from)
		for i := from; i < to; i++ {
			it := at(i)
			due := it.due.UnixMilli()
			rows = append(rows, task.Row{Ref: task.Ref{ID: it.id, Ver: int64(i) + 1}, NextMS: due, DueMS: due, CreatedMS: due,
				Payload: it.payload, Size: len(it.payload)})
		}
		return h.store.Create(ctx, rows)
	})
}

// start runs a worker and waits until its feeder has the hot set in hand.
func (h *hook) start(ctx context.Context) error {
	h.begin(ctx)
	return until(ctx, 10*time.Millisecond, func() (bool, error) {
		st, err := h.set.State(ctx, 0)
		return st.Loaded.NextMS > 0, errors.Join(err, h.err)
	})
}

func (h *hook) begin(ctx context.Context) {
	if h.stop != nil {
		return
	}
	ctx, h.stop = context.WithCancel(ctx)
	h.run.Go(func() { h.err = h.sch.Run(ctx) })
}

func (h *hook) hot(ctx context.Context) (int, error) {
	n := 0
	for p := range h.set.Config().Partitions {
		st, err := h.set.State(ctx, p)
		if err == nil && st.Other { // a generation that this process has not read of yet
			if _, err = h.sch.Stats(ctx); err == nil {
				st, err = h.set.State(ctx, p)
			}
		}
		if err != nil {
			return 0, err
		}
		n += int(st.Waiting)
	}
	return n, nil
}

// handlers is how many failures are rolled back at a time, as Handle does with so many goroutines.
const handlers = 256

func (h *hook) consume(ctx context.Context, c consumption) error {
	h.begin(ctx)
	var wg sync.WaitGroup
	rolling := make(chan struct{}, handlers)
	for range c.consumers {
		wg.Go(func() {
			for d := range h.sch.Deliveries(ctx) {
				if c.fails != nil && c.fails(d.ID, d.Attempt) {
					rolling <- struct{}{}
					wg.Go(func() {
						_ = d.Rollback(ctx, 0) // what fails is delivered again, too late
						<-rolling
					})
					continue
				}
				c.deliver(d.ID, time.Now())
				switch {
				case c.wait != nil:
					began := time.Now()
					if d.Confirm(ctx) == nil {
						c.wait(time.Since(began))
					}
				case c.confirm:
					d.ConfirmAsync()
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (h *hook) settled(context.Context) (int, error) { return int(h.store.deleted.Load()), nil }

func (h *hook) left(ctx context.Context, limit int) (int, error) {
	n, _, err := h.store.Count(ctx, limit)
	return int(n), err
}

func (h *hook) calls() int64 {
	if h.sent == nil {
		return -1
	}
	return h.sent.n.Load()
}

func (h *hook) close() error {
	if h.stop != nil {
		h.stop()
		h.run.Wait()
	}
	errs := []error{h.err}
	for _, c := range h.closes {
		errs = append(errs, c.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
