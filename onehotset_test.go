package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// worker is a process that handles what it gets, and notes it.
type worker struct {
	*triggerhook.Scheduler
	cancel context.CancelFunc
	done   chan error
}

func work(t *testing.T, s stores, l *ledger, o triggerhook.Options) *worker {
	t.Helper()
	w := &worker{Scheduler: s.scheduler(t, o), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() {
		w.done <- w.Handle(ctx, 8, func(_ context.Context, d *triggerhook.Delivery) error { l.note(d); return nil })
	}()
	t.Cleanup(func() { w.stop(nil) })
	return w
}

// stop ends w, once, and compares what Handle answers with want.
func (w *worker) stop(t *testing.T) {
	w.cancel()
	err, first := <-w.done
	if first {
		close(w.done)
	}
	if t != nil && err != nil {
		t.Errorf("Handle: %v", err)
	}
}

// recorded returns what s records of partition p.
func recorded(t *testing.T, s stores, p int) task.Generation {
	t.Helper()
	r, err := s.store.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Generation(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// counts waits until a generation is current on another server than before, and returns which.
func counts(t *testing.T, s stores, p int, before string) string {
	t.Helper()
	var is task.Generation
	until(t, "a generation is current on another server than "+before, 40*time.Second, func() bool {
		is = recorded(t, s, p)
		return is.Current.Generation != 0 && is.Current.Server != before
	})
	return is.Current.Server
}

// second returns stores on the same database, and on a Redis server of its own.
func (s stores) second(t *testing.T) stores {
	t.Helper()
	s.redis = redis.NewClient(&redis.Options{Addr: testserver.Own(t, testserver.Redis).Addr})
	t.Cleanup(func() { s.redis.Close() })
	set, err := hotset.NewRedis(s.redis, hotset.Options{Namespace: s.store.Namespace(), Partitions: s.set.Config().Partitions})
	if err != nil {
		t.Fatal(err)
	}
	s.set = set
	return s
}

// Two applications, each with a database of its own, and one Redis, all with the default
// namespace: one of them is refused, the other one gets its own tasks alone.
func TestTwoDatabasesDoNotShareAHotSet(t *testing.T) {
	t.Parallel()
	my, cache := testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis)
	var ledgers [2]ledger
	var sides []stores
	var workers []*worker
	for i := range ledgers {
		rdb := redis.NewClient(&redis.Options{Addr: cache.Addr})
		t.Cleanup(func() { rdb.Close() })
		store, err1 := durable.NewMySQL(my.DB(t, "interpolateParams=true"), durable.Options{})
		set, err2 := hotset.NewRedis(rdb, hotset.Options{})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		sides = append(sides, stores{store: store, set: set, redis: rdb})
		workers = append(workers, work(t, sides[i], &ledgers[i], triggerhook.Options{Lease: 2 * time.Second}))
	}
	var refused, other int
	select {
	case err := <-workers[0].done:
		refused, other = 0, 1
		mismatched(t, err, sides)
	case err := <-workers[1].done:
		refused, other = 1, 0
		mismatched(t, err, sides)
	case <-time.After(20 * time.Second):
		t.Fatal("both work with one hot set")
	}
	close(workers[refused].done)
	for i, name := range []string{"a", "b"} {
		for j := range 20 {
			x := &triggerhook.Task{ID: fmt.Sprint(name, j), Due: time.Now().Add(100 * time.Millisecond)}
			if err := workers[i].Create(t.Context(), x); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(t, "the one that works has delivered its own", 30*time.Second, func() bool { return ledgers[other].len() == 20 })
	workers[other].stop(t)
	if n := ledgers[refused].len(); n > 0 {
		t.Errorf("the one that was refused got %d tasks", n)
	}
	for i, want := range map[int]int64{refused: 20, other: 0} {
		if n, _, err := sides[i].store.Count(t.Context(), 100); n != want || err != nil {
			t.Errorf("database %d has %d rows, %v; want %d", i, n, err, want)
		}
	}
	if err := workers[refused].Run(t.Context()); err == nil {
		t.Error("Run on the other one's hot set is nil")
	}
	sleep(t, 3*time.Second) // what the refused one has created is not added later either: that ends
}

// mismatched: err names the identities of both sides.
func mismatched(t *testing.T, err error, sides []stores) {
	t.Helper()
	if !errors.Is(err, triggerhook.ErrMismatch) {
		t.Errorf("Handle: %v, want ErrMismatch", err)
		return
	}
	for _, s := range sides {
		r, e := s.store.Records(t.Context())
		if e != nil || !strings.Contains(err.Error(), r.Identity()) {
			t.Errorf("Handle: %v; want it to name the identity %q (%v)", err, r.Identity(), e)
		}
	}
}

// During a rolling deploy with another Redis address worker A works on the old server, B on
// the new one: no task is delivered twice, and none that Delete answered nil for.
func TestTwoRedisServersDeliverOnce(t *testing.T) {
	t.Parallel()
	a := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis), 1)
	b := a.second(t)
	o := triggerhook.Options{Window: 2 * time.Second}
	var l ledger
	wa := work(t, a, &l, o)
	counts(t, a, 0, "")
	work(t, b, &l, o)
	sleep(t, time.Second)
	all := tasks(200, func(int) time.Time { return time.Now().Add(6 * time.Second) })
	if err := wa.Create(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	sleep(t, 4*time.Second) // both feeders would have loaded them
	deleted := map[string]bool{}
	for _, x := range all[:50] {
		err := wa.Delete(t.Context(), x.ID)
		deleted[x.ID] = err == nil
		if err != nil && !errors.Is(err, triggerhook.ErrClaimed) && !errors.Is(err, triggerhook.ErrNotFound) { // on a slow machine some are due by then
			t.Errorf("Delete: %v", err)
		}
	}
	if !deleted[all[0].ID] {
		t.Errorf("%s was not deleted before it was due", all[0].ID)
	}
	until(t, "the others have fired", 30*time.Second, func() bool {
		return !slices.ContainsFunc(all[50:], func(x *triggerhook.Task) bool { return l.of(x.ID) == 0 })
	})
	sleep(t, time.Second)
	for _, x := range all {
		if n := l.of(x.ID); n > 1 || n > 0 && deleted[x.ID] {
			t.Errorf("%s fired %d times; Delete answered nil: %t", x.ID, n, deleted[x.ID])
		}
	}
}

// MySQL with a set in memory is for one process: a second one is refused while the first
// works, and need not wait once that has ended well.
func TestASecondProcessWithAHotSetInMemoryIsRefused(t *testing.T) {
	t.Parallel()
	one := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 2)
	two := one
	for _, s := range []*stores{&one, &two} {
		set, err := local.New(local.Options{Namespace: s.store.Namespace(), Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		s.set = set
	}
	var l ledger
	first := work(t, one, &l, triggerhook.Options{})
	server := counts(t, one, 0, "")
	counts(t, one, 1, "")
	second := two.scheduler(t, triggerhook.Options{})
	if err := second.Run(t.Context()); !errors.Is(err, triggerhook.ErrRefused) || !strings.Contains(err.Error(), server) {
		t.Errorf("Run of a second process with a set in memory: %v, want ErrRefused that names %s", err, server)
	}
	if err := first.Create(t.Context(), tasks(20, func(int) time.Time { return time.Now() })...); err != nil {
		t.Fatal(err)
	}
	until(t, "the first has delivered all", 20*time.Second, func() bool { return l.len() == 20 })
	first.stop(t)
	if g := recorded(t, one, 0); g.Current.Generation != 0 {
		t.Errorf("after a good end %+v counts, want none", g)
	}
	work(t, two, &l, triggerhook.Options{})
	if got := counts(t, two, 0, server); got == "" {
		t.Error("no server counts")
	}
}

// Moving to another Redis under load, as docs/operations.md has it: workers are replaced one by
// one, the new ones with the new address. Nothing is lost, nothing that was deleted fires, and
// nothing fires twice as long as workers end well.
func TestMovingToAnotherRedisUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	old := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis), 2)
	now := old.second(t)
	o := triggerhook.Options{Lease: 2 * time.Second, AuditGrace: time.Second}
	var l ledger
	workers := []*worker{work(t, old, &l, o), work(t, old, &l, o)}
	server := counts(t, old, 0, "")
	load, cancel := context.WithCancel(t.Context())
	defer cancel()
	var made, gone sync.Map
	var loads sync.WaitGroup
	sch := []*triggerhook.Scheduler{old.scheduler(t, o), now.scheduler(t, o)}
	loads.Go(func() {
		for i := 0; load.Err() == nil; i++ {
			id, by := fmt.Sprint("move-", i), sch[i%2]
			if err := by.Create(t.Context(), &triggerhook.Task{ID: id, Due: time.Now().Add(time.Duration(i%3) * time.Second)}); err == nil {
				made.Store(id, true)
			}
			if i%3 == 2 {
				loads.Go(func() {
					if err := by.Delete(load, id); err == nil {
						gone.Store(id, true)
					}
				})
			}
			sleep(t, 10*time.Millisecond)
		}
	})
	sleep(t, 2*time.Second)
	for i := range workers { // each is replaced
		workers = append(workers, work(t, now, &l, o))
		sleep(t, 500*time.Millisecond)
		workers[i].stop(t)
	}
	counts(t, old, 0, server)
	counts(t, old, 1, server)
	sleep(t, time.Second)
	cancel()
	loads.Wait()
	left := func() (n int) {
		made.Range(func(id, _ any) bool {
			if _, deleted := gone.Load(id); !deleted && l.count(id.(string)) == 0 {
				if rows, err := old.store.Get(t.Context(), []string{id.(string)}); err != nil || len(rows) > 0 {
					n++
				}
			}
			return true
		})
		return n
	}
	until(t, "all have fired", 40*time.Second, func() bool { return left() == 0 })
	made.Range(func(id, _ any) bool {
		n := l.count(id.(string))
		if _, deleted := gone.Load(id); deleted && n > 0 || n > 1 {
			t.Errorf("%s fired %d times; Delete answered nil: %t", id, n, deleted)
		}
		return true
	})
}

func (l *ledger) count(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times[id]
}

// of returns how often the task of that ID was delivered.
func (l *ledger) of(id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times[id]
}
