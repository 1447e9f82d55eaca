package triggerhook_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// stores makes schedulers that share a namespace.
type stores struct {
	store durable.Store
	set   hotset.Set
	redis *redis.Client // nil on the embedded pair
	db    *sql.DB       // likewise
}

func (s stores) scheduler(t testing.TB, o triggerhook.Options) *triggerhook.Scheduler {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if s.redis == nil && o.ClaimAhead == 0 {
		o.ClaimAhead = -1 // also where the set says that it is not in process: an alarm of the kernel knows nothing of a bubble's time
	}
	sch, err := triggerhook.New(s.store, s.set, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := sch.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sch
}

func embedded(t *testing.T, partitions int) stores {
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	set, err := local.New(local.Options{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return stores{store: store, set: set}
}

func servers(t testing.TB, mysql, cache *testserver.Server, partitions int) stores {
	rdb := redis.NewClient(&redis.Options{Addr: cache.Addr})
	t.Cleanup(func() { rdb.Close() })
	s := onRedis(t, mysql, rdb, partitions)
	s.redis = rdb
	return s
}

func onRedis(t testing.TB, mysql *testserver.Server, rdb redis.UniversalClient, partitions int) stores {
	ns := "e" + strings.ToLower(rand.Text()[:10])
	db := mysql.DB(t, "interpolateParams=true")
	store, err := durable.NewMySQL(db, durable.Options{Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return stores{store: store, set: set, db: db}
}

// onAll runs a test on the embedded pair and on real servers, with 1 and 4 partitions.
func onAll(t *testing.T, test func(t *testing.T, s stores)) {
	for _, partitions := range []int{1, 4} {
		p := fmt.Sprintf("/p%d", partitions)
		t.Run("bolt+local"+p, func(t *testing.T) { test(t, embedded(t, partitions)) })
		t.Run("mysql97+redis7"+p, func(t *testing.T) {
			test(t, servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), partitions))
		})
	}
}

// onEvery is onAll, and runs a test through Sentinel and on a Cluster of six besides.
func onEvery(t *testing.T, test func(t *testing.T, s stores)) {
	onAll(t, test)
	t.Run("mysql97+sentinel/p4", func(t *testing.T) {
		rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testserver.MasterName, SentinelAddrs: testserver.SharedSentinel(t).Addrs()})
		t.Cleanup(func() { rdb.Close() })
		test(t, onRedis(t, testserver.Shared(t, testserver.MySQL), rdb, 4))
	})
	t.Run("mysql97+cluster/p4", func(t *testing.T) {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: testserver.SharedCluster(t).Addrs()})
		t.Cleanup(func() { rdb.Close() })
		test(t, onRedis(t, testserver.Shared(t, testserver.MySQL), rdb, 4))
	})
}

// run runs s until the returned function is called, which waits for the drain.
func run(t testing.TB, s *triggerhook.Scheduler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, triggerhook.ErrUnavailable) { // that it was stopped before it had begun
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// ledger notes what was delivered.
type ledger struct {
	mu           sync.Mutex
	times        map[string]int
	early        []string
	worst        time.Duration
	leasesRunOut bool // leases are so short that on a busy machine another delivery may confirm a task first
}

func (l *ledger) note(d *triggerhook.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times == nil {
		l.times = map[string]int{}
	}
	l.times[d.ID]++
	late := time.Since(d.Due)
	if late < 0 {
		l.early = append(l.early, fmt.Sprint(d.ID, " by ", -late))
	}
	l.worst = max(l.worst, late)
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times)
}

// consume confirms all deliveries in n goroutines until ctx ends.
func (l *ledger) consume(ctx context.Context, t *testing.T, s *triggerhook.Scheduler, n int) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for d := range s.Deliveries(ctx) {
				l.note(d)
				if err := d.Confirm(context.Background()); err != nil && !(l.leasesRunOut && errors.Is(err, triggerhook.ErrGone)) {
					t.Errorf("confirm %s: %v", d.ID, err)
				}
			}
		})
	}
	return &wg
}

func until(t testing.TB, what string, within time.Duration, ok func() bool) {
	t.Helper()
	if time.Now().Year() > 2000 { // not in a bubble, whose clock begins then: the machine may be busy
		within = max(within, time.Minute)
	}
	end := time.After(within)
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-end:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func tasks(n int, due func(i int) time.Time) []*triggerhook.Task {
	all := make([]*triggerhook.Task, n)
	for i := range all {
		all[i] = &triggerhook.Task{ID: fmt.Sprintf("task-%05d", i), Due: due(i), Payload: []byte{byte(i)}}
	}
	return all
}

// empty checks that nothing is left in either store.
func empty(t *testing.T, s stores) {
	t.Helper()
	n, _, err := s.store.Count(t.Context(), 1000)
	if err != nil || n != 0 {
		t.Errorf("the store holds %d rows, %v", n, err)
	}
	until(t, "the hot set is empty", 5*time.Second, func() bool {
		var members int64
		for p := range s.set.Config().Partitions {
			st, err := s.set.State(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			members += st.Waiting + st.Claimed
		}
		return members == 0
	})
}

func TestEachTaskFiresOnceAndNeverEarly(t *testing.T) {
	onEvery(t, fireOnce)
	for name, kinds := range map[string][2]testserver.Kind{
		"mysql56+valkey/p4":     {testserver.MySQL56, testserver.Valkey},
		"mariadb+redis-utf8/p4": {testserver.MariaDB, testserver.RedisUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			fireOnce(t, servers(t, testserver.Shared(t, kinds[0]), testserver.Shared(t, kinds[1]), 4))
		})
	}
}

func fireOnce(t *testing.T, s stores) {
	const n = 2000
	start := time.Now()
	all := tasks(n, func(i int) time.Time { return start.Add(time.Duration(i) * time.Millisecond) })
	a, b := s.scheduler(t, triggerhook.Options{}), s.scheduler(t, triggerhook.Options{})
	if err := a.Create(t.Context(), all[:n/2]...); err != nil { // before Run: the feeder's
		t.Fatal(err)
	}
	stopA, stopB := run(t, a), run(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var l ledger
	wa, wb := l.consume(ctx, t, a, 8), l.consume(ctx, t, b, 8)
	for i := n / 2; i < n; i += 10 {
		if err := b.Create(t.Context(), all[i:i+10]...); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all have fired", 30*time.Second, func() bool { return l.len() == n })
	cancel()
	wa.Wait()
	wb.Wait()
	stopA()
	stopB()
	for id, times := range l.times {
		if times != 1 {
			t.Errorf("%s was delivered %d times", id, times)
		}
	}
	if len(l.early) > 0 {
		t.Errorf("early: %v", l.early)
	}
	t.Logf("worst lateness %s", l.worst)
	empty(t, s)
}

func TestDeletedTasksDoNotFire(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		due := time.Now().Add(3 * time.Second)
		all := tasks(200, func(int) time.Time { return due })
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i := 0; i < len(all); i += 2 {
			ids = append(ids, all[i].ID)
		}
		if err := sch.Delete(t.Context(), ids...); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if err := sch.Delete(t.Context(), ids[0]); !errors.Is(err, triggerhook.ErrNotFound) {
			t.Errorf("second Delete: %v, want ErrNotFound", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var l ledger
		consumers := l.consume(ctx, t, sch, 4)
		until(t, "those fire that were not deleted", time.Minute, func() bool { return l.len() >= 100 })
		sleep(t, 500*time.Millisecond)
		cancel()
		consumers.Wait()
		if l.len() != 100 {
			t.Errorf("%d tasks fired, want 100", l.len())
		}
		for _, id := range ids {
			if l.times[id] > 0 {
				t.Errorf("%s was deleted and fired", id)
			}
		}
	})
}

func next(t *testing.T, s *triggerhook.Scheduler) *triggerhook.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := s.Consume(ctx)
	if err != nil {
		t.Fatalf("Consume: %v", err)
	}
	return d
}

func TestARolledBackTaskIsOfferedAgain(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{Window: 5 * time.Second})
		run(t, sch)
		for _, delay := range []time.Duration{0, 300 * time.Millisecond} {
			id := "back-" + delay.String()
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: time.Now(), Payload: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			d := next(t, sch)
			at := time.Now()
			if err := d.Rollback(t.Context(), delay); err != nil {
				t.Fatal(err)
			}
			if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrSettled) {
				t.Errorf("Confirm after Rollback: %v, want ErrSettled", err)
			}
			d = next(t, sch)
			if d.ID != id || d.Attempt != 2 || string(d.Payload) != "x" || time.Since(at) < delay {
				t.Errorf("after %s delivered %+v attempt %d, want %s attempt 2 after %s", time.Since(at), d.Task, d.Attempt, id, delay)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		}
		// beyond the horizon the row moves
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "far", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := next(t, sch).Rollback(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		info, err := sch.Get(t.Context(), "far")
		if err != nil || info.State != triggerhook.Scheduled || info.Attempt != 2 || time.Until(info.Next) < 59*time.Minute {
			t.Errorf("Get after a rollback by an hour: %+v, %v", info, err)
		}
	})
}

func TestRescheduleMovesATaskBothWays(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := sch.Reschedule(t.Context(), "a", time.Now()); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		if err := sch.Reschedule(t.Context(), "a", time.Now().Add(100*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
			t.Errorf("Confirm of the old delivery: %v, want ErrGone", err)
		}
		if err := next(t, sch).Confirm(t.Context()); err != nil {
			t.Errorf("Confirm of the new delivery: %v", err)
		}
		if err := sch.Reschedule(t.Context(), "a", time.Now()); !errors.Is(err, triggerhook.ErrNotFound) {
			t.Errorf("Reschedule of a confirmed task: %v, want ErrNotFound", err)
		}
	})
}

func TestARescheduledDeliverysContextEnds(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		if err := sch.Reschedule(t.Context(), "a", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-d.Context().Done():
			if cause := context.Cause(d.Context()); !errors.Is(cause, triggerhook.ErrGone) {
				t.Errorf("it ended because of %v, want ErrGone", cause)
			}
		case <-time.After(time.Minute):
			t.Error("it did not end")
		}
		if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
			t.Errorf("Confirm: %v, want ErrGone", err)
		}
	})
}

func TestALongPayloadIsReadAtTheClaim(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		want := strings.Repeat("payload ", 4000)
		if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now(), Payload: []byte(want)}); err != nil {
			t.Fatal(err)
		}
		d := next(t, sch)
		if string(d.Payload) != want || d.ID == "" {
			t.Errorf("delivered %q with %d bytes", d.ID, len(d.Payload))
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What a crashed worker held fires again once its lease is over; here the drain
// time is over with a delivery in hand.
func TestStopGivesBackWhatIsInHand(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		a := s.scheduler(t, triggerhook.Options{Drain: 50 * time.Millisecond})
		stop := run(t, a)
		if err := a.Create(t.Context(), tasks(20, func(int) time.Time { return time.Now() })...); err != nil {
			t.Fatal(err)
		}
		d := next(t, a)
		stop()
		if d.Context().Err() == nil {
			t.Error("the delivery's context lives on after the drain")
		}
		if _, err := a.Consume(t.Context()); !errors.Is(err, triggerhook.ErrClosed) {
			t.Errorf("Consume after Run: %v, want ErrClosed", err)
		}
		b := s.scheduler(t, triggerhook.Options{})
		run(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var l ledger
		l.consume(ctx, t, b, 4)
		until(t, "all fire in the other process", 10*time.Second, func() bool { return l.len() == 20 })
	})
}

func TestHandleConfirmsRollsBackAndSurvivesPanics(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{Retry: retrypolicy.Constant(10 * time.Millisecond)})
		if err := sch.Create(t.Context(), tasks(30, func(int) time.Time { return time.Now() })...); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		var l ledger
		go func() {
			done <- sch.Handle(ctx, 4, func(_ context.Context, d *triggerhook.Delivery) error {
				l.note(d)
				switch {
				case d.Attempt == 1 && d.Payload[0]%3 == 0:
					return errors.New("not now")
				case d.Attempt == 1 && d.Payload[0]%3 == 1:
					panic("boom")
				}
				return nil
			})
		}()
		until(t, "all are done", 20*time.Second, func() bool {
			n, _, err := s.store.Count(t.Context(), 100)
			return err == nil && n == 0
		})
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Handle: %v", err)
		}
		for id, times := range l.times {
			if times > 2 {
				t.Errorf("%s was delivered %d times", id, times)
			}
		}
		if err := sch.Run(t.Context()); !errors.Is(err, triggerhook.ErrClosed) {
			t.Errorf("Run after Handle: %v, want ErrClosed", err)
		}
	})
}

func sleep(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
