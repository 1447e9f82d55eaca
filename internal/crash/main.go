// Command crash is a process that is to be killed: it does one thing that a
// scheduler does, against real servers, and its tests kill it at each point that
// docs/crashes.md lists. They build it with -tags failpoint and name the point in
// the environment; in any other build it does its order and ends.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// orderEnv is the variable that holds the order.
const orderEnv = "TRIGGERHOOK_CRASH_ORDER"

// ready is what the process says when it is connected, and waits for a sign.
const ready = "ready"

// place is where a scheduler works, and how.
type place struct {
	DSN, Redis, Namespace            string
	Partitions                       int
	Window, Lease, AuditGrace, Drain time.Duration
	DeliveryTimeout                  time.Duration
	InProcess                        bool // its hot set is in its own memory
	KeepHistory                      bool // of what ends
	Silent                           bool // its hot set answers nothing of what its workers ask
}

// order is what the process is told to do: one of these, or first CreateTx and then another.
type order struct {
	place
	CreateTx   []*triggerhook.Task // in a transaction that it commits
	Create     []*triggerhook.Task
	Upsert     []*triggerhook.Task // debounced
	Delete     []string
	Reschedule *triggerhook.Task // its ID, to its Due
	Move       *triggerhook.Task // all tasks whose IDs begin with its ID, to its Due
	Requeue    *triggerhook.Task // the same of a dead letter
	Pause      bool
	Resume     bool
	Work       *work
}

// work is how the process works: Workers handlers confirm the first Confirms
// deliveries, and do with all others what Then says.
type work struct {
	Workers, Confirms int
	Then              string            // "keep" (never answers), "rollback", "discard", "effect" or "create"
	Delay             time.Duration     // of a rollback
	Follow            *triggerhook.Task // what "create" creates; the delivery is kept
	Stop              bool              // drain once one is kept and others wait in the queue
}

func main() {
	if err := obey(os.Getenv(orderEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("read %s: %w", orderEnv, err)
	}
	m, err := o.open(os.Stderr)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for p := range o.Partitions { // connect: a Create gives the hot set a moment only
		if _, err := m.set.State(ctx, p); err != nil {
			return errors.Join(err, m.Close())
		}
	}
	fmt.Println(ready)
	_, _ = os.Stdin.Read(make([]byte, 1)) // its end is the sign to begin
	if len(o.CreateTx) > 0 {
		err = m.createTx(ctx, o.CreateTx)
	}
	switch {
	case err != nil:
	case len(o.Create) > 0:
		err = m.sch.Create(ctx, o.Create...)
	case len(o.Upsert) > 0:
		_, err = m.sch.Upsert(ctx, triggerhook.Debounce, o.Upsert...)
	case len(o.Delete) > 0:
		err = m.sch.Delete(ctx, o.Delete...)
	case o.Reschedule != nil:
		err = m.sch.Reschedule(ctx, o.Reschedule.ID, o.Reschedule.Due)
	case o.Move != nil:
		_, err = m.sch.RescheduleWhere(ctx, triggerhook.Filter{IDPrefix: o.Move.ID}, triggerhook.Shift{To: o.Move.Due}, triggerhook.WhereOptions{})
	case o.Requeue != nil:
		err = m.sch.Requeue(ctx, o.Requeue.ID, o.Requeue.Due)
	case o.Pause:
		err = m.sch.Pause(ctx, triggerhook.PauseOptions{})
	case o.Resume:
		err = m.sch.Resume(ctx)
	case o.Work != nil:
		err = o.Work.do(ctx, m)
	}
	return errors.Join(err, m.Close())
}

// createTx creates tasks in a transaction.
func (m *member) createTx(ctx context.Context, tasks []*triggerhook.Task) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := m.sch.CreateTx(ctx, tx, tasks...); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// do works until it is to stop.
func (w *work) do(ctx context.Context, m *member) error {
	sch := m.sch
	if w.Workers == 0 {
		return sch.Run(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var delivered atomic.Int64
	return sch.Handle(ctx, w.Workers, func(_ context.Context, d *triggerhook.Delivery) error {
		fmt.Println(d.ID, d.Attempt) // unbuffered: the tests read it while this process lives
		switch {
		case delivered.Add(1) <= int64(w.Confirms):
			return nil
		case w.Then == "rollback":
			return d.Rollback(context.Background(), w.Delay)
		case w.Then == "effect":
			return effect(m.db, d)
		case w.Then == "create":
			if err := sch.Create(context.Background(), w.Follow); err != nil {
				return err
			}
		case w.Then == "discard":
			return d.Fail(context.Background(), triggerhook.Discard("it is of no use"))
		case w.Stop:
			stopWhenQueued(sch, stop)
		}
		select {} // a process that waits for an answer waits for ever
	})
}

// stopWhenQueued stops the process' work when all confirms have landed and tasks
// wait in its queue, beside the one in the caller's hands.
func stopWhenQueued(sch *triggerhook.Scheduler, stop func()) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		st, err := sch.Stats(context.Background())
		if err == nil && st.Process.Confirming == 0 && st.Process.Queued > 0 {
			stop()
			return
		}
	}
}

// member is a scheduler and what it stands on.
type member struct {
	sch   *triggerhook.Scheduler
	store durable.Store
	set   hotset.Set // to look at the hot set with: the scheduler has its own, which it tells what counts
	db    *sql.DB
	rdb   *redis.Client
}

// Close closes what open opened.
func (m *member) Close() error { return errors.Join(m.db.Close(), m.rdb.Close()) }

// silent is a hot set that has fallen silent after Run's check.
type silent struct{ hotset.Set }

var errSilent = fmt.Errorf("no answer: %w", triggerhook.ErrUnavailable)

// State implements hotset.Set.
func (*silent) State(context.Context, int) (task.State, error) { return task.State{}, errSilent }

// Claim implements hotset.Set.
func (*silent) Claim(context.Context, int, task.ClaimRequest) (task.Batch, error) {
	return task.Batch{}, errSilent
}

// Elect implements hotset.Set.
func (*silent) Elect(context.Context, string, time.Duration, ...task.Role) ([]task.Term, error) {
	return nil, errSilent
}

// open makes a member of the place, whose logger writes to log.
func (p place) open(log io.Writer) (*member, error) {
	db, err := sql.Open("mysql", p.DSN)
	if err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	db.SetMaxOpenConns(4)
	m := &member{db: db, rdb: redis.NewClient(&redis.Options{Addr: p.Redis, PoolSize: 10})}
	m.store, err = durable.NewMySQL(db, durable.Options{Namespace: p.Namespace})
	if err == nil {
		m.set, err = hotset.NewRedis(m.rdb, hotset.Options{Namespace: p.Namespace, Partitions: p.Partitions})
	}
	var own hotset.Set
	if err == nil && p.InProcess {
		own, err = local.New(local.Options{Namespace: p.Namespace, Partitions: p.Partitions})
	} else if err == nil {
		own, err = hotset.NewRedis(m.rdb, hotset.Options{Namespace: p.Namespace, Partitions: p.Partitions})
	}
	if p.Silent {
		own = &silent{own}
	}
	if err == nil {
		var history triggerhook.History
		if p.KeepHistory {
			history.Retention = 24 * time.Hour
		}
		m.sch, err = triggerhook.New(m.store, own, triggerhook.Options{History: history, Window: p.Window, Lease: p.Lease, AuditGrace: p.AuditGrace,
			Drain: p.Drain, DeliveryTimeout: p.DeliveryTimeout, Logger: slog.New(slog.NewTextHandler(log, nil))})
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}
