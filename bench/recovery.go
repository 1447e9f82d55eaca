package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// measureRecovery measures for how long nothing is delivered after a fault, while a task falls due every 10 ms.
//
// The tasks are preloaded before, except for the death of the feeder: what is preloaded needs none, so each task is created then in a
// transaction of the caller's own (CreateTx) and due at once, which only the feeder brings into the hot set. A delivery is written down
// when it happens, so that a process that is killed takes none with it.
//
// gap_ms is the longest time between two deliveries, from the fault on, within which a task fell due; first_ms is the time from the
// fault to the first delivery of a task that fell due after it; the percentiles are the lateness of all tasks that did. A task that the
// killed process held comes again once its lease has ended, and is the maximum.
func measureRecovery(ctx context.Context, s *stage) (lines []line, err error) {
	if s.System != "triggerhook" || s.sys.(*hook).single {
		return nil, cannot("recovery is measured for the library on servers")
	}
	f, known := faults[s.Variant.Name]
	if !known {
		return nil, fmt.Errorf("there is no fault %q", s.Variant.Name)
	}
	r := &recovery{stage: s, h: s.sys.(*hook), book: newLedger(s.N), due: make([]atomic.Int64, s.N)}
	defer func() { err = errors.Join(err, r.close()) }()
	if f.bring != nil {
		if err := f.bring(r, ctx); err != nil {
			return nil, err
		}
	}
	if err := r.staff(ctx); err != nil {
		return nil, err
	}
	l, err := r.run(ctx, f)
	if err != nil {
		return nil, err
	}
	return []line{l}, r.book.verdict(f.again)
}

// fault is one that recovery is measured from.
type fault struct {
	bring func(r *recovery, ctx context.Context) error // servers of its own, which it may stop
	do    func(r *recovery, ctx context.Context) error
	tx    bool // tasks are created by CreateTx
	again bool // a task may be delivered again
}

// faults are filled by init, because their functions lead back to the scenarios.
var faults map[string]fault

func init() {
	faults = map[string]fault{
		"feeder killed":   {do: (*recovery).killFeeder, tx: true, again: true},
		"Redis restarted": {bring: (*recovery).bringRedis, do: (*recovery).restartRedis, again: true},
		"MySQL failover":  {bring: (*recovery).bringGroup, do: (*recovery).killPrimary, again: true},
		"rolling deploy":  {do: (*recovery).deploy},
	}
}

func (r *recovery) killFeeder(context.Context) error { return r.crew.kill(0) }

// every is the time between two tasks.
const every = 10 * time.Millisecond

// recovery is one measurement. The goroutine that measures owns it, except due.
type recovery struct {
	*stage
	h      *hook
	own    system // on servers of its own; nil: the stage's
	book   *ledger
	due    []atomic.Int64 // by index: when the task fell due, unix microseconds; 0: it is not created
	crew   *crew
	redis  *testserver.Server
	group  *testserver.Group
	proxy  *proxy
	closes []func() error
}

func (r *recovery) close() error {
	var errs []error
	if r.crew != nil {
		_, err := r.crew.dismiss(r.book)
		errs = append(errs, err)
	}
	if r.own != nil {
		errs = append(errs, r.own.close())
	}
	for _, f := range slices.Backward(r.closes) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// reopen has the library on servers of the measurement's own.
func (r *recovery) reopen(ctx context.Context) error {
	r.Name += "own" // the stage has made a database of its own name already
	sys, err := open(ctx, r.job, true)
	if err != nil {
		return err
	}
	r.own, r.h = sys, sys.(*hook)
	return nil
}

func (r *recovery) bringRedis(ctx context.Context) (err error) {
	if r.redis, err = testserver.Start(ctx, testserver.Redis); err != nil {
		return err
	}
	r.closes = append(r.closes, r.redis.Close)
	r.Clients.Redis, r.Direct.Redis = r.redis.Addr, r.redis.Addr
	return r.reopen(ctx)
}

// bringGroup brings three MySQL servers, one of which takes writes. A member that is dead is expelled at once, where the default waits for
// five seconds. A proxy leads to the primary, as a router does.
func (r *recovery) bringGroup(ctx context.Context) (err error) {
	// The driver writes down each connection that is lost; those of the group's watcher are lost by design.
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		return err
	}
	if r.group, err = testserver.StartGroup(ctx, "--loose-group-replication-member-expel-timeout=0"); err != nil {
		return err
	}
	r.closes = append(r.closes, r.group.Close)
	if r.proxy, err = newProxy(r.group.Members[0].Addr, 0); err != nil {
		return err
	}
	r.closes = append(r.closes, r.proxy.Close)
	dsn := "root@tcp(" + r.proxy.addr() + ")/"
	r.Clients.MySQL, r.Direct.MySQL = dsn, dsn
	return r.reopen(ctx)
}

// staff starts the workers, the first of which is the feeder.
func (r *recovery) staff(ctx context.Context) (err error) {
	if r.crew, err = r.hire(1); err != nil {
		return err
	}
	err = until(ctx, 10*time.Millisecond, func() (bool, error) {
		if _, err := r.h.hot(ctx); err != nil {
			return false, err
		}
		st, err := r.h.set.State(ctx, 0)
		return st.Loaded.NextMS > 0, err
	})
	if err != nil {
		return err
	}
	more, err := r.hire(r.Workers - 1)
	r.crew.join(more)
	return err
}

// run creates the tasks, brings the fault about once a quarter of them has fallen due, and waits until all have come and no row is left.
func (r *recovery) run(ctx context.Context, f fault) (line, error) {
	begin := time.Now().Add(time.Second/2 + time.Duration(r.N)*time.Millisecond).Truncate(time.Millisecond) // time to create them
	for i := range r.N {
		r.book.expect(i, begin)
	}
	creating, stop := context.WithCancel(ctx)
	defer stop()
	created := make(chan error, 1)
	create := r.preload
	if f.tx {
		create = r.createTx
	}
	go func() { created <- create(creating, begin) }()
	_ = pause(ctx, time.Until(begin.Add(time.Duration(r.N/4)*every)))
	if f.tx { // the first call of a namespace wakes the feeder, which looks more often from then on
		if err := r.flows(ctx); err != nil {
			return line{}, err
		}
	}
	at := time.Now()
	if err := f.do(r, ctx); err != nil {
		return line{}, fmt.Errorf("%s: %w", r.Variant.Name, err)
	}
	if err := <-created; err != nil {
		return line{}, err
	}
	if err := r.complete(ctx); err != nil {
		return line{}, err
	}
	_, err := r.crew.dismiss(r.book)
	if r.crew = nil; err != nil {
		return line{}, err
	}
	return r.result(at), nil
}

// preload creates all tasks before the first is due.
func (r *recovery) preload(ctx context.Context, begin time.Time) error {
	err := each(ctx, r.N, 500, 2, func(ctx context.Context, from, to int) error {
		return r.h.create(ctx, items(from, to, func(i int) item {
			due := begin.Add(time.Duration(i) * every)
			r.due[i].Store(due.UnixMicro())
			return r.task(i, due)
		}))
	})
	if err == nil && time.Now().After(begin) {
		err = errors.New("creating the tasks took until they were due")
	}
	return err
}

// createTx creates one task after another, each in a transaction of its own.
func (r *recovery) createTx(ctx context.Context, begin time.Time) error {
	db, err := database(ctx, r.Clients.MySQL, r.Name, false)
	if err != nil {
		return err
	}
	defer db.Close()
	for i := range r.N {
		_ = pause(ctx, time.Until(begin.Add(time.Duration(i)*every)))
		if err := r.createOne(ctx, db, i); err != nil {
			return fmt.Errorf("create in a transaction: %w", err)
		}
	}
	return nil
}

func (r *recovery) createOne(ctx context.Context, db *sql.DB, i int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	it := r.task(i, time.Now())
	err = r.h.sch.CreateTx(ctx, tx, &triggerhook.Task{ID: it.id, Due: it.due, Payload: it.payload})
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	r.due[i].Store(time.Now().UnixMicro()) // it exists from here on
	return nil
}

// flows returns once nearly all tasks that exist have come.
func (r *recovery) flows(ctx context.Context) error {
	end := time.Now().Add(stuck)
	return until(ctx, 10*time.Millisecond, func() (bool, error) {
		n := 0
		for i := range r.due {
			if r.due[i].Load() != 0 {
				n++
			}
		}
		if time.Now().After(end) {
			return false, errors.New("tasks of transactions do not come")
		}
		return n-r.crew.delivered() < 50, nil
	})
}

// complete waits until the workers have had all tasks and no row is left. A server that does not answer yet is asked again.
func (r *recovery) complete(ctx context.Context) error {
	last, at := 0, time.Now()
	return until(ctx, 50*time.Millisecond, func() (bool, error) {
		n := r.crew.delivered()
		if n > last {
			last, at = n, time.Now()
		}
		var err error
		if n >= r.N {
			var left int
			if left, err = r.h.left(ctx, 1); err == nil && left == 0 {
				return true, nil
			}
		}
		if time.Since(at) > stuck {
			return false, errors.Join(fmt.Errorf("%d of %d tasks have come, and no more within %s", n, r.N, stuck), err)
		}
		return false, nil
	})
}

func (r *recovery) result(fault time.Time) line {
	var due, came []time.Time
	for i := range r.due {
		due = append(due, time.UnixMicro(r.due[i].Load()))
		came = append(came, time.UnixMicro(r.book.at[i].Load()))
	}
	l := r.line(nil)
	gap, first, late := afterFault(fault, due, came)
	l.spread(late, false)
	gapMS, firstMS := ms(gap), ms(first)
	l.GapMS, l.FirstMS, l.Duplicates = &gapMS, &firstMS, r.book.twice.Load()
	begin, end := r.book.span()
	l.RatePerS = perSecond(r.N, end.Sub(begin))
	return l
}

// afterFault is the longest time between two deliveries from the fault on within which a task fell due, the time from the fault to the first
// delivery of a task that fell due after it, and the lateness of all tasks that did.
func afterFault(fault time.Time, due, came []time.Time) (gap, first time.Duration, late []time.Duration) {
	moments := []time.Time{fault}
	var dues []time.Time
	for i := range due {
		if came[i].After(fault) {
			moments = append(moments, came[i])
		}
		if due[i].Before(fault) {
			continue
		}
		dues, late = append(dues, due[i]), append(late, came[i].Sub(due[i]))
		if since := came[i].Sub(fault); first == 0 || since < first {
			first = since
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	slices.SortFunc(dues, time.Time.Compare)
	for i := 1; i < len(moments); i++ {
		k, _ := slices.BinarySearchFunc(dues, moments[i-1], time.Time.Compare)
		if k < len(dues) && dues[k].Before(moments[i]) {
			gap = max(gap, moments[i].Sub(moments[i-1]))
		}
	}
	return gap, first, late
}

func (r *recovery) restartRedis(ctx context.Context) error {
	r.redis.Kill()
	return r.redis.Boot(ctx)
}

// killPrimary has the proxy follow the group to its next primary.
func (r *recovery) killPrimary(ctx context.Context) error {
	r.group.Members[0].Kill()
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	return until(ctx, 100*time.Millisecond, func() (bool, error) {
		p, err := r.group.Primary(ctx)
		if err != nil || p == 0 {
			return false, nil // no majority has elected one yet
		}
		r.proxy.turn(r.group.Members[p].Addr)
		return true, nil
	})
}

// deploy replaces each worker, one after another: the new one delivers before the old one is told to end.
func (r *recovery) deploy(ctx context.Context) error {
	for range r.Workers {
		fresh, err := r.hire(1)
		if err != nil {
			return err
		}
		r.crew.join(fresh)
		short, cancel := context.WithTimeout(ctx, stuck)
		err = until(short, 5*time.Millisecond, func() (bool, error) { return fresh.delivered() > 0 || r.crew.delivered() >= r.N, nil })
		cancel()
		if err != nil {
			return fmt.Errorf("a new worker delivers nothing: %w", err)
		}
		if err := r.crew.retire(0); err != nil {
			return err
		}
	}
	return nil
}
