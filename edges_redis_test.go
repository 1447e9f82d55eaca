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
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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

// A hard limit of two connections, and many creators: what is held is held, and no error is
// of a kind that nobody knows.
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
