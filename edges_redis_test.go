package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// A right that is missing ends Run at once with an error that names it, before a task waits
// for ever.
func TestRunNamesWhatRedisRefuses(t *testing.T) {
	admin := redis.NewClient(&redis.Options{Addr: testserver.Own(t, testserver.Redis).Addr})
	defer admin.Close()
	my := testserver.Shared(t, testserver.MySQL)
	for _, c := range []struct{ out, names string }{{"-hget", "HGET"}, {"-subscribe", "subscribe"}, {"resetchannels", "wake"}, {"-info", "INFO"}} {
		user := "u" + strings.TrimPrefix(c.out, "-")
		if err := admin.Do(t.Context(), "ACL", "SETUSER", user, "reset", "on", ">secret", "~*", "&*", "+@all", c.out).Err(); err != nil {
			t.Fatal(err)
		}
		rdb := redis.NewClient(&redis.Options{Addr: admin.Options().Addr, Username: user, Password: "secret"})
		t.Cleanup(func() { rdb.Close() })
		sch := onRedis(t, my, rdb, 2).scheduler(t, triggerhook.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := sch.Run(ctx); !errors.Is(err, triggerhook.ErrRefused) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("Run of a user with %s: %v, want ErrRefused that names %s", c.out, err, c.names)
		}
		cancel()
	}
}

// The server limits what waits for a client to less than the answer of one claim. The claim
// is made again, and asks for less; those after it ask for less from the start.
func TestAnswersThatAreTooLargeHoldNothingUp(t *testing.T) {
	s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis, "--client-output-buffer-limit", "normal 262144 0 0"), 1)
	const n = 1500
	sch := s.scheduler(t, triggerhook.Options{})
	all := tasks(n, func(int) time.Time { return time.Now().Add(-time.Second) })
	for i, x := range all {
		x.Payload = fmt.Appendf(nil, "%0*d", 1000, i)
	}
	if err := sch.Create(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	run(t, sch)
	got := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			for range n / 500 {
				d := next(t, sch)
				mu.Lock()
				got[d.ID+" "+string(d.Payload)] = true
				mu.Unlock()
				if err := d.Confirm(t.Context()); err != nil {
					t.Errorf("Confirm: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, x := range all {
		if !got[x.ID+" "+string(x.Payload)] {
			t.Errorf("%s did not come with its payload", x.ID)
		}
	}
}

// A hard limit of two connections, and many creators: leases are kept, and each error
// is of a known kind.
func TestAPoolOfTwoConnectionsLosesNoLease(t *testing.T) {
	for name, o := range map[string]redis.Options{"waits": {PoolSize: 1, MaxActiveConns: 2}, "fails": {PoolSize: 10, MaxActiveConns: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Addr = testserver.Shared(t, testserver.Redis).Addr
			rdb := redis.NewClient(&o)
			t.Cleanup(func() { rdb.Close() })
			sch := onRedis(t, testserver.Shared(t, testserver.MySQL), rdb, 1).scheduler(t, triggerhook.Options{Lease: 3 * time.Second})
			run(t, sch)
			held := &triggerhook.Task{Due: time.Now()}
			if err := sch.Create(t.Context(), held); err != nil {
				t.Fatal(err)
			}
			d := next(t, sch)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // longer than a lease
			defer cancel()
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for ctx.Err() == nil {
						if err := sch.Create(t.Context(), &triggerhook.Task{Due: time.Now().Add(40 * time.Second)}); err != nil {
							t.Errorf("Create: %v", err)
						}
						sleep(t, 5*time.Millisecond)
						if _, err := sch.Get(t.Context(), held.ID); err != nil {
							t.Errorf("Get: %v", err)
						}
					}
				})
			}
			wg.Wait()
			if err := context.Cause(d.Context()); err != nil {
				t.Errorf("what was held meanwhile ended: %v", err)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Errorf("Confirm: %v", err)
			}
			until(t, "all are preloaded", 20*time.Second, func() bool {
				st, err := sch.Stats(t.Context())
				return err == nil && st.Namespace.Tasks > 0 && st.Namespace.Preloaded+st.Namespace.InFlight == st.Namespace.Tasks
			})
			sleep(t, 2500*time.Millisecond) // what was to be added in a second is known to be in
			if st, _ := sch.Stats(t.Context()); st.Process.Errors["other"] > 0 || st.Process.LeasesLost > 0 {
				t.Errorf("errors %v, %d leases lost", st.Process.Errors, st.Process.LeasesLost)
			}
		})
	}
}

// A Redis that is stopped answers nothing, and go-redis waits for it, whatever the context:
// 5 s and three times more by default, and for ever without a ReadTimeout. No call of a
// Scheduler does. What was created meanwhile comes when Redis is back.
func TestAHungRedisHoldsUpNoCall(t *testing.T) {
	for name, o := range map[string]redis.Options{"defaults": {}, "no read timeout": {ReadTimeout: -1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := testserver.Own(t, testserver.Redis)
			o.Addr = cache.Addr
			rdb := redis.NewClient(&o)
			t.Cleanup(func() { rdb.Close() })
			s := onRedis(t, testserver.Shared(t, testserver.MySQL), rdb, 4)
			worker := s.scheduler(t, triggerhook.Options{Drain: time.Second})
			stop := run(t, worker)
			near := time.Now().Add(40 * time.Second)
			if err := worker.Create(t.Context(), tasks(30, func(int) time.Time { return near })...); err != nil {
				t.Fatal(err)
			}
			if err := worker.Create(t.Context(), &triggerhook.Task{ID: "held", Due: time.Now()}); err != nil {
				t.Fatal(err)
			}
			held := next(t, worker)
			cache.Pause()
			done := make(chan struct{})
			go func() {
				defer close(done)
				callAll(t, s.scheduler(t, triggerhook.Options{}), near)
				if err := held.Confirm(context.Background()); err != nil {
					t.Errorf("Confirm: %v", err)
				}
				stop()
			}()
			select {
			case <-done:
			case <-time.After(30 * time.Second): // 8 calls that wait take longer
				t.Error("calls to a Redis that hangs have no bound")
			}
			cache.Continue()
			<-done
			again := s.scheduler(t, triggerhook.Options{})
			run(t, again)
			d := next(t, again)
			if d.ID != "now" {
				t.Errorf("%s came, want what was created while Redis hung", d.ID)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Errorf("Confirm after the hang: %v", err)
			}
			sleep(t, 4*time.Second) // what was to be added in a second is looked at before the client is closed
		})
	}
}

// callAll calls what a process calls that does not work, with no deadline.
func callAll(t *testing.T, sch *triggerhook.Scheduler, near time.Time) {
	ctx := context.Background()
	for range 2 {
		if info, err := sch.Get(ctx, "task-00001"); err != nil || info.State != triggerhook.Unknown {
			t.Errorf("Get: %+v, %v, want it without a state", info, err)
		}
		if _, err := sch.Stats(ctx); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Stats: %v, want ErrUnavailable", err)
		}
	}
	if err := sch.Create(ctx, &triggerhook.Task{ID: "now", Due: time.Now()}); err != nil {
		t.Errorf("Create: %v", err)
	}
	if err := sch.Delete(ctx, "task-00001"); !errors.Is(err, triggerhook.ErrUnavailable) {
		t.Errorf("Delete: %v, want ErrUnavailable", err)
	}
	if err := sch.Reschedule(ctx, "task-00002", near.Add(time.Second)); !errors.Is(err, triggerhook.ErrUnavailable) {
		t.Errorf("Reschedule: %v, want ErrUnavailable", err)
	}
}
