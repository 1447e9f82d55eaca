package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
)

// workerEnv makes this program, or its tests, a worker process: a spec.
const workerEnv = "TRIGGERHOOK_ACCEPT_WORKER"

// spec is what a worker process is told.
type spec struct {
	DSN, Redis, Namespace string
	Partitions, Handlers  int
	Hold, Lease           time.Duration
	Dir                   string
}

func (w spec) acts() string     { return filepath.Join(w.Dir, w.Namespace+".acts") }
func (w spec) warnings() string { return filepath.Join(w.Dir, w.Namespace+".warnings") }

// member is a scheduler and what it stands on.
type member struct {
	sch   *triggerhook.Scheduler
	store durable.Store
	db    *sql.DB
	rdb   *redis.Client
}

// Close closes the connections to both servers.
func (m *member) Close() error { return errors.Join(m.db.Close(), m.rdb.Close()) }

// open makes a member of the spec's namespace, whose logger writes to warnings.
func (w spec) open(warnings io.Writer) (m *member, err error) {
	db, err := sql.Open("mysql", w.DSN)
	if err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	db.SetMaxIdleConns(8)
	m = &member{db: db, rdb: redis.NewClient(&redis.Options{Addr: w.Redis})}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.store, err = durable.NewMySQL(db, durable.Options{Namespace: w.Namespace}); err != nil {
		return nil, err
	}
	set, err := hotset.NewRedis(m.rdb, hotset.Options{Namespace: w.Namespace, Partitions: w.Partitions})
	if err != nil {
		return nil, err
	}
	m.sch, err = triggerhook.New(m.store, set, triggerhook.Options{Lease: w.Lease, Logger: slog.New(slog.NewTextHandler(warnings, nil))})
	return m, err
}

// workerMain runs a worker process and returns its exit status.
func workerMain(text string) int {
	if err := work(text); err != nil {
		fmt.Fprintf(os.Stderr, "worker %d: %v\n", os.Getpid(), err)
		return 1
	}
	return 0
}

// work handles tasks until standard input ends, which is the driver's way to ask
// for a stop, and what its death looks like.
func work(text string) error {
	var w spec
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	warnings, err := appendTo(w.warnings())
	if err != nil {
		return err
	}
	hush(warnings)
	acts, err := appendTo(w.acts())
	if err != nil {
		return err
	}
	m, err := w.open(warnings)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	l := ledger{file: acts, pid: os.Getpid()}
	err = m.sch.Handle(ctx, w.Handlers, func(ctx context.Context, d *triggerhook.Delivery) error { return l.handle(ctx, d, w.Hold) })
	if ctx.Err() != nil && errors.Is(err, triggerhook.ErrUnavailable) {
		return nil // told to end before it had reached its servers
	}
	return err
}

// hush sends what the drivers of MySQL and Redis print of themselves to w: an
// outage makes them talk a lot.
func hush(w io.Writer) {
	l := slog.NewLogLogger(slog.NewTextHandler(w, nil), slog.LevelWarn)
	_ = mysql.SetLogger(l) // refuses nil only
	redis.SetLogger(redisLogger{l})
}

// redisLogger is a logger of go-redis.
type redisLogger struct{ *log.Logger }

// Printf implements the interface that redis.SetLogger takes.
func (l redisLogger) Printf(_ context.Context, format string, v ...any) {
	l.Logger.Printf(format, v...)
}

// appendTo opens a file that processes append to, each write a whole line.
func appendTo(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// ledger writes a worker's acts.
type ledger struct {
	file *os.File
	pid  int
}

// handle is what a careful user's handler does: work, give up if the task is no
// longer its own, else confirm.
func (l ledger) handle(ctx context.Context, d *triggerhook.Delivery, hold time.Duration) error {
	l.write(begun, d.ID, time.Since(d.Due))
	if hold > 0 {
		pause(ctx, hold)
	}
	if ctx.Err() != nil {
		l.write(lost, d.ID, 0)
		return context.Cause(ctx)
	}
	if err := d.Confirm(context.Background()); err != nil {
		l.write(failed, d.ID, 0)
		return err
	}
	l.write(done, d.ID, 0)
	return nil
}

// write is one unbuffered line. If it cannot be written the run proves nothing.
func (l ledger) write(what byte, id string, late time.Duration) {
	if _, err := fmt.Fprintf(l.file, "%c %s %d %d\n", what, id, l.pid, late.Microseconds()); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
