package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// bound is how late a task may be once the last fault of single servers is over. It is
// made of: a statement that gives up on a silent connection (10 s), a new election (6 s),
// a new generation (2 s and a lease), and the auditor's round (5 s and its grace), which
// may have to follow one another. At worst 12 s were measured.
const bound = 25 * time.Second

// promptBound is the same within a fault that excuses no lateness: what a dead worker's
// lease and two rounds of audits take, on a busy machine.
const promptBound = 12 * time.Second

// drainBound is within what time after its commit the hot set learns of most of what a transaction of a caller has changed: what
// CreateTx says of the first in a minute. The auditor, which would find the rows without an outbox, takes longer.
const drainBound = 1500 * time.Millisecond

// stage is where a run takes place: servers, proxies, worker processes, history.
type stage struct {
	config
	dir   string
	path  string // of the history
	rec   *history.Recorder
	ns    string
	parts int
	exe   string // of workers

	mysqlServer *testserver.Server // nil if given from outside, or a group
	group       *group             // nil in other topologies
	mysqlAddr   string
	mysqlConfig *mysql.Config // of the nemesis's DSN, with the database
	// workerConfig is of the workers' DSNs. On a server of our own they are ordinary
	// users, with the rights that docs/security.md names.
	workerConfig *mysql.Config
	small        string  // the file system that the database is on, if it has its own
	db           *sql.DB // the nemesis's, past the proxies
	store        *durable.MySQL

	redisMu     sync.Mutex         // held by faults that stop or exchange Redis
	redisServer *testserver.Server // nil if given from outside
	replica     *testserver.Server
	redisAt     redisAt              // under mu
	sentinel    *testserver.Sentinel // of --topology sentinel, as the next of cluster
	cluster     *testserver.Cluster
	mysqlMu     sync.Mutex
	deadlocks   int // that MySQL had to end, under mysqlMu

	mu    sync.Mutex
	slots []*slot
	late  sync.WaitGroup // requests that are still to arrive
}

// setUp brings all but the workers. The stage is to be torn down also after an error.
func setUp(ctx context.Context, c config) (*stage, error) {
	st := &stage{config: c, ns: "t" + strings.ToLower(rand.Text()[:8]), parts: c.partitions()}
	dir, err := c.keep, error(nil)
	if dir == "" {
		dir, err = os.MkdirTemp("", "torture-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return st, fmt.Errorf("folder of the run: %w", err)
	}
	st.dir, st.path = dir, filepath.Join(dir, "history")
	if err := os.Remove(st.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return st, err
	}
	if st.rec, err = history.Open(st.path, "nemesis"); err != nil {
		return st, err
	}
	if err := st.program(ctx); err != nil {
		return st, err
	}
	if err := st.servers(ctx); err != nil {
		return st, err
	}
	return st, st.migrate(ctx)
}

// partitions is their number.
func (c config) partitions() int { return 1 + 3*int(c.seed%2) }

// program finds the workers' program: this one, or one whose clock can be shifted.
func (st *stage) program(ctx context.Context) (err error) {
	if slices.Contains(st.faults, "clock") {
		st.exe, err = buildShifted(ctx, st.dir, ".")
		return err
	}
	st.exe, err = os.Executable()
	return err
}

// servers brings the servers, or takes those that were named.
func (st *stage) servers(ctx context.Context) error {
	dsn, err := st.topology().bring(ctx, st)
	if err != nil {
		return err
	}
	if st.mysqlConfig, err = mysql.ParseDSN(dsn); err != nil {
		return fmt.Errorf("--mysql: %w", err)
	}
	st.mysqlAddr, st.mysqlConfig.InterpolateParams = st.mysqlConfig.Addr, true
	return nil
}

// migrate makes the database and the tables.
func (st *stage) migrate(ctx context.Context) error {
	db, err := sql.Open("mysql", st.mysqlConfig.FormatDSN())
	if err != nil {
		return fmt.Errorf("open MySQL: %w", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+st.ns); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	st.mysqlConfig.DBName = st.ns
	if err := st.limit(); err != nil {
		return err
	}
	if err := st.grant(ctx, db); err != nil {
		return err
	}
	if st.db, err = sql.Open("mysql", st.mysqlConfig.FormatDSN()); err != nil {
		return fmt.Errorf("open MySQL: %w", err)
	}
	if st.store, err = durable.NewMySQL(st.db, durable.Options{Namespace: st.ns}); err != nil {
		return err
	}
	s, closeIt, err := st.scheduler()
	if err != nil {
		return err
	}
	defer closeIt()
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if _, err := st.db.ExecContext(ctx, "CREATE TABLE "+st.ns+"_ledger (tx VARBINARY(64) PRIMARY KEY)"); err != nil {
		return fmt.Errorf("create the ledger: %w", err)
	}
	return nil
}

// scheduler is one past the proxies, to be closed.
func (st *stage) scheduler() (_ *triggerhook.Scheduler, closeIt func() error, err error) {
	rdb := st.users()
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: st.ns, Partitions: st.parts})
	if err != nil {
		return nil, nil, errors.Join(err, rdb.Close())
	}
	s, err := triggerhook.New(st.store, set, triggerhook.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, rdb.Close())
	}
	return s, rdb.Close, nil
}

// grant makes the workers' user.
func (st *stage) grant(ctx context.Context, db *sql.DB) error {
	worker := *st.mysqlConfig
	st.workerConfig = &worker
	if st.mysqlServer == nil && st.group == nil {
		return nil
	}
	worker.User = "worker"
	for _, stmt := range []string{"CREATE USER worker@'%'", "GRANT SELECT, INSERT, UPDATE, DELETE ON " + st.ns + ".* TO worker@'%'"} {
		if _, err := db.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return nil
}

// limit puts the database on a small file system of its own, if a fault needs that.
func (st *stage) limit() error {
	if st.mysqlServer == nil || !slices.ContainsFunc(st.faults, func(name string) bool { return kinds[name].small }) {
		return nil
	}
	dir := filepath.Join(st.mysqlServer.Dir(), "data", st.ns)
	if err := mount(dir, smallBytes); err != nil {
		return fmt.Errorf("put the database on a small file system: %w", err)
	}
	st.small = dir
	return nil
}

// users is the client that a user has of what the run has of Redis, past the proxies.
// Close it.
func (st *stage) users() redis.UniversalClient {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.redisAt.client(5 * time.Second)
}

// client is a client of the single Redis that is, past the proxies. Close it.
func (st *stage) client() *redis.Client {
	st.mu.Lock()
	defer st.mu.Unlock()
	return redis.NewClient(&redis.Options{Addr: st.redisAt.Addr, MaxRetries: -1, ReadTimeout: 5 * time.Second, DialTimeout: time.Second})
}

// run is the run: load and faults, and then quiet until nothing is left.
func (st *stage) run(ctx context.Context) error {
	for i := range st.workers {
		sl, err := newSlot(st, i+1)
		if err != nil {
			return err
		}
		st.slots = append(st.slots, sl)
		if err := sl.start(); err != nil {
			return err
		}
	}
	busy, cancel := context.WithTimeout(ctx, st.duration)
	defer cancel()
	err := st.nemesis(ctx, busy)
	st.late.Wait()
	if err != nil {
		return err
	}
	for _, sl := range st.slots {
		sl.tell("quiet")
	}
	if err := st.empty(ctx); err != nil {
		return err
	}
	for _, sl := range st.slots {
		if err := sl.drain(drainTime + 10*time.Second); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), st.record(ctx), st.rec.Close())
}

// empty waits until all rows are gone, for no longer than the last of them may take
// (what is created now and due beyond the window, and then rolled back once or
// twice), and records those that are left.
func (st *stage) empty(ctx context.Context) error {
	last := farAhead + window + 2*(window+4*time.Second) + st.topology().bound
	var failed error
	for end := time.Now().Add(last); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, 200*time.Millisecond) {
		if failed = st.sweep(ctx); failed != nil {
			continue // a server that takes no writes yet, or a connection that ended with a failover
		}
		if n, _, err := st.store.Count(ctx, 10); err == nil && n == 0 {
			return nil
		}
	}
	if failed != nil {
		return failed
	}
	rows, err := st.db.QueryContext(ctx, "SELECT id FROM "+st.ns+"_task")
	if err != nil {
		return fmt.Errorf("read what is left: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("read what is left: %w", err)
		}
		st.rec.Write(history.Event{Op: history.Left, ID: id})
	}
	return rows.Err()
}

// tearDown ends what setUp and run began. It can be called again.
func (st *stage) tearDown() {
	for _, sl := range st.slots {
		sl.close()
	}
	if st.small != "" {
		_ = unmount(st.small)
	}
	if st.db != nil {
		_, _ = st.db.Exec("DROP DATABASE " + st.ns)
		st.db.Close()
	}
	if st.sentinel != nil {
		_ = st.sentinel.Close()
	}
	if st.cluster != nil {
		_ = st.cluster.Close()
	}
	if st.group != nil {
		_ = st.group.close()
	}
	for _, s := range []*testserver.Server{st.mysqlServer, st.redisServer, st.replica} {
		if s != nil {
			_ = s.Close()
		}
	}
}

// abandon tells where the history of a run that failed is.
func (st *stage) abandon() error { return fmt.Errorf("what there is of the history is in %s", st.path) }

// hotTasks is little in each other pair of seeds, so that the horizon retreats.
func (st *stage) hotTasks() int {
	if st.seed/2%2 == 1 {
		return 150
	}
	return math.MaxInt32
}
