package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// stage is where a scenario runs. Its servers are stopped and flushed by those
// scenarios that do so.
type stage struct {
	mysql, redis *testserver.Server
	partitions   int
	scaled       bool
	dir          string
}

// run is a scenario that runs.
type run struct {
	scenario
	stage
	size    size
	spec    spec
	driver  *member // creates, and looks; it does not work
	fleet   fleet
	history *history
	first   time.Time // when the first task is due
	made    []string  // ids that Create acknowledged
	verdict verdict
}

// createCall is how many tasks one call of Create makes.
const createCall = 1000

// run runs the scenario and judges it. The error is that of a run that proves
// nothing; broken promises are in the verdict.
func (sc scenario) run(ctx context.Context, st stage) (verdict, error) {
	r := &run{scenario: sc, stage: st, size: sc.full}
	if st.scaled {
		r.size = sc.small
	}
	r.fleet.killed = map[int]bool{}
	r.verdict = verdict{Scenario: sc.name, Partitions: st.partitions}
	drop, err := r.prepare(ctx)
	if err != nil {
		return r.verdict, err
	}
	defer drop()
	err = r.perform(ctx)
	if stopped := r.fleet.stop(45 * time.Second); stopped != nil {
		r.broke("%v", stopped)
	}
	if err != nil {
		return r.verdict, err
	}
	return r.verdict, r.judge()
}

// prepare makes a database and a namespace; drop gives them up.
func (r *run) prepare(ctx context.Context) (drop func(), err error) {
	ns := "a" + strings.ToLower(rand.Text()[:12])
	r.spec = spec{Redis: r.redis.Addr, Namespace: ns, Partitions: r.partitions, Handlers: r.handlers, Hold: r.size.hold, Lease: r.size.lease, Dir: r.dir}
	r.spec.DSN = params(r.mysql.DSN(""))
	admin, err := r.spec.open(io.Discard)
	if err != nil {
		return nil, err
	}
	if _, err := admin.db.ExecContext(ctx, "CREATE DATABASE "+ns); err != nil {
		return nil, errors.Join(fmt.Errorf("create database: %w", err), admin.Close())
	}
	r.spec.DSN = params(r.mysql.DSN(ns))
	r.history = newHistory(r.spec.acts())
	if r.driver, err = r.spec.open(io.Discard); err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	return func() {
		_, _ = admin.db.Exec("DROP DATABASE " + ns) // its server may be gone, and goes with its data
		_ = admin.Close()
		_ = r.driver.Close()
	}, nil
}

func params(dsn string) string {
	sep := "?"
	if strings.Contains(dsn, "?") {
		sep = "&"
	}
	return dsn + sep + "interpolateParams=true"
}

// perform starts the workers, plays the scenario, and waits until all is done.
func (r *run) perform(ctx context.Context) error {
	if err := r.driver.sch.Migrate(ctx); err != nil {
		return err
	}
	for range r.workers {
		if err := r.fleet.start(r.spec); err != nil {
			return err
		}
	}
	if err := r.play(ctx, r); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	for _, how := range r.fleet.fallen() {
		r.broke("a process ended by itself: %s", how)
	}
	return ctx.Err()
}

// create makes the tasks before the first is due.
func (r *run) create(ctx context.Context) error {
	start := time.Now()
	r.first = start.Add(r.size.lead)
	for i := 0; i < r.size.tasks; i += createCall {
		var some []*triggerhook.Task
		for k := i; k < min(i+createCall, r.size.tasks); k++ {
			due := r.first.Add(time.Duration(float64(r.size.spread) * float64(k) / float64(r.size.tasks)))
			some = append(some, &triggerhook.Task{ID: fmt.Sprintf("t%06d", k), Due: due, Payload: make([]byte, 100)})
			r.made = append(r.made, some[len(some)-1].ID)
		}
		if err := r.driver.sch.Create(ctx, some...); err != nil {
			return err
		}
	}
	took := time.Since(start)
	r.figure("created_s", took.Seconds())
	if took > r.size.lead {
		return fmt.Errorf("creating took %s, and the first task was due after %s", took, r.size.lead)
	}
	return nil
}

// untilDue waits until d after the first task is due.
func (r *run) untilDue(ctx context.Context, d time.Duration) { pause(ctx, time.Until(r.first.Add(d))) }

// preloaded waits until n tasks are in the hot set, and writes down how many are.
func (r *run) preloaded(ctx context.Context, n int, within time.Duration) {
	var in int64
	for end := time.Now().Add(within); in < int64(n) && time.Now().Before(end) && ctx.Err() == nil; pause(ctx, time.Second) {
		if st, err := r.driver.sch.Stats(ctx); err == nil {
			in = st.Namespace.Preloaded
		}
	}
	r.figure("preloaded", float64(in))
	if in < int64(n) {
		r.broke("%d of %d tasks are preloaded", in, n)
	}
}

// finish waits until the store is empty.
func (r *run) finish(ctx context.Context) error {
	within := 5 * time.Minute
	if r.scaled {
		within = time.Minute
	}
	start := time.Now()
	var left int64
	var err error
	for end := start.Add(within); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, 100*time.Millisecond) {
		if left, _, err = r.driver.store.Count(ctx, 1000); err == nil && left == 0 {
			return nil
		}
	}
	r.broke("%d tasks or more are left after %s, %v", left, within, err)
	return ctx.Err()
}
