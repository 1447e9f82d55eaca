package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// What is set shorter than by default, so that a minute has many of each.
const (
	leaseTime  = 3 * time.Second
	window     = 6 * time.Second
	farAhead   = window + 43*time.Second // 40 s is what the library has for others to forget what they know
	auditGrace = 2 * time.Second
	drainTime  = 15 * time.Second
	// maxAttempts is how many attempts a task has, and retryDelay how long it waits after each.
	maxAttempts = 4
	retryDelay  = 400 * time.Millisecond
	consumers   = 24 // a worker
	// aheadAtMost is how long before their times a worker claims tasks at most: each life of a worker has its own ClaimAhead, every other one none.
	aheadAtMost = 100 * time.Millisecond
	// redisTimeout is the Redis client's. Late answers come after it.
	redisTimeout = time.Second
)

// spec is what a worker process is told.
type spec struct {
	Who        string // this life of it
	MySQL      string // DSN
	Redis      redisAt
	Namespace  string
	Partitions int
	HotTasks   int
	History    string
	Seed       uint64
	Rate       float64 // tasks created a second
	Brief      bool    // it holds no delivery for long
}

// worker is one worker process: it creates tasks, changes its mind about some, and
// consumes. It is told by lines on its standard input what to do next:
//
//	clock SECONDS  its clock is that far off from now on
//	quiet          create no more
//	drain          end in good order
//
// It ends at once when its standard input does.
type worker struct {
	spec
	rec     *history.Recorder
	s       *triggerhook.Scheduler
	db      *sql.DB         // for transactions of its own
	quiet   chan struct{}   // closed by quiet
	ending  <-chan struct{} // closed by drain
	dead    chan string     // tasks that became dead letters; those that find it full stay dead
	snoozed sync.Map        // the IDs of tasks that were snoozed in this life: a second time would be for ever
}

func work(sp spec) error {
	rec, err := history.Open(sp.History, sp.Who)
	if err != nil {
		return err
	}
	w := &worker{spec: sp, rec: rec, quiet: make(chan struct{}), dead: make(chan string, 100)}
	if w.s, err = w.open(); err != nil {
		return err
	}
	defer w.db.Close()
	ctx, drain := context.WithCancel(context.Background())
	w.ending = ctx.Done()
	go w.obey(os.Stdin, drain)
	consuming, stop := context.WithCancel(context.Background())
	defer stop()
	var all sync.WaitGroup
	for range consumers {
		all.Go(func() {
			for d := range w.s.Deliveries(consuming) {
				w.consume(d)
			}
		})
	}
	all.Go(func() { w.load(ctx) })
	ended := make(chan struct{})
	all.Go(func() { w.watch(ended) })
	if err = w.s.Run(ctx); err != nil {
		stop() // it has not run, so it ended no deliveries
	}
	if ctx.Err() != nil && errors.Is(err, triggerhook.ErrUnavailable) {
		err = nil // told to end before it had reached its servers
	}
	close(ended)
	all.Wait()
	return errors.Join(err, rec.Close())
}

const (
	watchEvery = 100 * time.Millisecond
	starvedFor = 700 * time.Millisecond // longer than a busy machine lets a process wait, as a rule
)

// watch records when the machine did not let this process run: its leases may run
// out then, which is no fault of the library.
func (w *worker) watch(ended <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for last := history.Now(); ; last = history.Now() {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if history.Now()-last > starvedFor.Microseconds() {
			w.rec.Write(history.Event{Op: history.Fault, Kind: history.Starved, Target: w.Who, Parts: true, Began: last})
		}
	}
}

func (w *worker) open() (*triggerhook.Scheduler, error) {
	db, err := sql.Open("mysql", w.MySQL)
	if err != nil {
		return nil, fmt.Errorf("open MySQL: %w", err)
	}
	store, err := durable.NewMySQL(db, durable.Options{Namespace: w.Namespace})
	if err != nil {
		return nil, err
	}
	set, err := hotset.NewRedis(w.Redis.client(redisTimeout), hotset.Options{Namespace: w.Namespace, Partitions: w.Partitions})
	if err != nil {
		return nil, err
	}
	if w.db, err = openTx(w.MySQL); err != nil {
		return nil, err
	}
	return triggerhook.New(&tracedStore{MySQL: store, rec: w.rec, dead: w.dead}, &traced{Set: set, rec: w.rec}, triggerhook.Options{
		MaxAttempts: maxAttempts, Retry: retrypolicy.Constant(retryDelay), Lease: leaseTime, Window: window, AuditGrace: auditGrace, Drain: drainTime, HotTasks: w.HotTasks, Queue: 200,
		ClaimAhead: w.ahead(),
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// ahead is the ClaimAhead of this life: none, or any time up to the longest.
func (w *worker) ahead() time.Duration {
	r := w.random(w.Who + "/ahead")
	if r.IntN(2) == 0 {
		return -1
	}
	return time.Duration(1 + r.Int64N(int64(aheadAtMost)))
}

// obey does what it is told until its input ends, and the process with it.
func (w *worker) obey(in io.Reader, drain func()) {
	told := bufio.NewScanner(in)
	for told.Scan() {
		verb, arg, _ := strings.Cut(told.Text(), " ")
		switch verb {
		case "clock":
			_ = os.Setenv(clockEnv, arg) // a name and a number: it cannot fail
		case "quiet":
			close(w.quiet)
		case "drain":
			drain()
		}
	}
	os.Exit(3)
}

// random depends on the seed and on what it is for, not on the order of events.
func (w *worker) random(of string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, of) // it never fails
	return rand.New(rand.NewPCG(w.Seed, h.Sum64()))
}

// consume does with a delivery what the seed wants: most are confirmed soon, some
// are held beyond a lease, some fail in one way or another.
func (w *worker) consume(d *triggerhook.Delivery) {
	n := w.rec.Call()
	w.rec.Write(history.Event{Op: history.Deliver, Call: n, ID: d.ID, DueMS: d.Due.UnixMilli(), Attempt: d.Attempt, ExpiresMS: expiresMS(&d.Task), Pay: pay(d.Payload)})
	r := w.random(fmt.Sprint(d.ID, "/", d.Attempt, "/", d.Due.UnixMilli()&7))
	hold := time.Duration(r.Int64N(int64(20 * time.Millisecond)))
	if r.IntN(100) < 3 && !w.Brief {
		hold = leaseTime/2 + time.Duration(r.Int64N(int64(2*leaseTime)))
	}
	pause(context.Background(), hold)
	if w.doomed(d.ID) {
		w.fail(d, n, errDoomed, retryDelay)
		return
	}
	switch k := r.IntN(100); {
	case k < 4:
		w.rollback(d, n, time.Duration(r.Int64N(int64(2*time.Second))))
	case k < 5: // beyond the window
		w.rollback(d, n, window+time.Duration(r.Int64N(int64(4*time.Second))))
	case k < 10:
		w.failSomehow(d, n, r)
	case k < 19:
		w.rec.Write(history.Event{Op: history.Confirm, Call: n, ID: d.ID})
		d.ConfirmAsync()
	case k < 34:
		w.confirmTx(d, n, r)
	default:
		w.confirm(d, n)
	}
}

func (w *worker) confirm(d *triggerhook.Delivery, n int64) {
	e := history.Event{Op: history.Confirm, Call: n, ID: d.ID}
	w.rec.Write(e)
	w.end(e, d.Confirm(context.Background()))
}

func (w *worker) rollback(d *triggerhook.Delivery, n int64, delay time.Duration) {
	e := givenBack(d, n, delay)
	w.rec.Write(e)
	w.end(e, d.Rollback(context.Background(), delay))
}

// end records how an act ended.
func (w *worker) end(e history.Event, err error) history.Result {
	e.End, e.Result = true, result(err)
	if err != nil {
		e.Error = err.Error()
	}
	w.rec.Write(e)
	return e.Result
}

func result(err error) history.Result {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, triggerhook.ErrClaimed):
		return history.Claimed
	case errors.Is(err, triggerhook.ErrNotFound):
		return history.NotFound
	case errors.Is(err, triggerhook.ErrExists):
		return history.Exists
	case errors.Is(err, triggerhook.ErrGone):
		return history.Gone
	}
	return history.Unknown
}
