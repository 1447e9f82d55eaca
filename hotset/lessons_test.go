package hotset_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// What went wrong in other schedulers: see the table in docs/reliability.md.

// cost is how many commands a call is, those inside scripts among them.
func cost(t *testing.T, rdb *redis.Client, call func() error) int {
	t.Helper()
	before := processed(t, rdb)
	if err := call(); err != nil {
		t.Fatal(err)
	}
	return processed(t, rdb) - before - 1
}

// A script's work is bounded by what its caller asks for, not by what the set holds.
func TestNoScriptsWorkGrowsWithTheSet(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	ctx := t.Context()
	costs := func(members int) map[string]int {
		s := open(t, rdb, 1)
		entries := many(members)
		f, err := s.Horizon(ctx, 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 2 * members})
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, f, entries)
		for i := range members / 4 {
			if _, err := s.Claim(ctx, 0, task.ClaimRequest{Token: fmt.Sprint("t", i), Limit: 1, Lease: time.Minute}); err != nil {
				t.Fatal(err)
			}
		}
		refs := func(from int) (some []task.Ref) {
			for _, e := range entries[from : from+5] {
				some = append(some, e.Ref)
			}
			return some
		}
		gen := f.AsOf.Generation
		fresh := func(name string) []task.Entry {
			return []task.Entry{{Ref: task.Ref{ID: name, Ver: 1}, NextMS: 1}, {Ref: task.Ref{ID: name, Ver: 2}, NextMS: 1}}
		}
		all := map[string]int{}
		for name, call := range map[string]func() error{
			"claim": func() error {
				_, err := s.Claim(ctx, 0, task.ClaimRequest{Token: "ten", Limit: 10, Lease: time.Minute})
				return err
			},
			"horizon": func() error {
				_, err := s.Horizon(ctx, 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 2 * members})
				return err
			},
			"state":  func() error { _, err := s.State(ctx, 0); return err },
			"leases": func() error { _, err := s.Expired(ctx, 0, 10, time.Second); return err },
			"extend": func() error {
				_, err := s.Extend(ctx, 0, task.ExtendRequest{Generation: gen, Tokens: []string{"t0", "t1"}, Refs: refs(0), Lease: time.Minute})
				return err
			},
			"release": func() error { _, err := s.Release(ctx, 0, task.ReleaseRequest{Token: "t2", Refs: refs(0)}); return err },
			"remove":  func() error { _, err := s.Remove(ctx, 0, "", refs(members-5)); return err },
			"add": func() error {
				_, err := s.Add(ctx, 0, task.AddRequest{AsOf: f.AsOf, Entries: fresh("added")})
				return err
			},
			"register": func() error {
				_, err := s.Add(ctx, 0, task.AddRequest{AsOf: f.AsOf, Entries: fresh("held"), Token: "h", Lease: time.Minute})
				return err
			},
			"feed": func() error {
				_, err := s.Feed(ctx, 0, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Entries: fresh("fed")})
				return err
			},
		} {
			all[name] = cost(t, rdb, call)
		}
		return all
	}
	costs(40) // loads the scripts
	few, lots := costs(40), costs(4000)
	for name, n := range lots {
		if n > few[name]+4 { // once in 10 s a call pays for a new period of tombstones
			t.Errorf("%s is %d commands with 40 members, %d with 4000", name, few[name], n)
		}
	}
}

// A server that was a master, then a replica of another one, and is promoted again has that
// one's data, under the run_id under which it began its own: it is cold too.
func TestAServerThatHasAnothersDataIsCold(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			first, second := testserver.Own(t, kind), testserver.Own(t, kind)
			a, b := client(t, first.Addr), client(t, second.Addr)
			s := open(t, a, 1)
			follow(t, b, first)
			f := warm(t, s)
			add(t, s, f, many(2))
			holds(t, b, key(s, "waiting"), 2)
			promote(t, b)
			if _, err := s.Remove(t.Context(), 0, "", []task.Ref{many(2)[0].Ref}); err != nil {
				t.Fatal(err)
			}
			follow(t, a, second)
			holds(t, a, key(s, "waiting"), 2) // what was removed is back
			promote(t, a)
			if got, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 2, Lease: time.Minute}); !errors.Is(err, task.ErrCold) {
				t.Errorf("Claim: %v, %v, want ErrCold", got, err)
			}
		})
	}
}

// follow makes rdb's server a replica of master, and waits until it has its data.
func follow(t *testing.T, rdb *redis.Client, master *testserver.Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
}

// holds waits until the sorted set key of rdb's server has n members.
func holds(t *testing.T, rdb *redis.Client, key string, n int64) {
	t.Helper()
	eventually(t, func() bool { return rdb.ZCard(t.Context(), key).Val() == n })
}

// eventually waits until is says so, for 20 s.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the replica does not follow")
		}
	}
}

// promote makes rdb's server a master.
func promote(t *testing.T, rdb *redis.Client) {
	t.Helper()
	if err := rdb.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
}

// A replica that takes over without its master's last writes is cold, whatever it
// holds: nothing is claimed from it before a new generation.
func TestAReplicaThatTookOverIsCold(t *testing.T) {
	master, replica := testserver.Own(t, testserver.Redis), testserver.Own(t, testserver.Redis)
	old, rdb := client(t, master.Addr), client(t, replica.Addr)
	s := open(t, old, 1)
	follow(t, rdb, master)
	f := warm(t, s)
	add(t, s, f, many(2))
	holds(t, rdb, key(s, "waiting"), 2)
	promote(t, rdb)
	b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute}) // the replica does not hear of it
	if err != nil || len(b.Claims) != 1 {
		t.Fatalf("Claim: %v, %v", b, err)
	}
	if _, err := s.Remove(t.Context(), 0, "t", []task.Ref{b.Claims[0].Ref}); err != nil {
		t.Fatal(err)
	}
	master.Kill()
	s2, err := hotset.NewRedis(rdb, hotset.Options{Namespace: s.Config().Namespace})
	if err != nil {
		t.Fatal(err)
	}
	if rdb.ZCard(t.Context(), key(s, "waiting")).Val() != 2 {
		t.Fatal("the replica does not hold what was removed")
	}
	if got, err := s2.Claim(t.Context(), 0, task.ClaimRequest{Token: "u", Limit: 2, Lease: time.Minute}); !errors.Is(err, task.ErrCold) {
		t.Errorf("Claim from the replica: %v, %v, want ErrCold", got, err)
	}
	if _, err := s2.Extend(context.Background(), 0, task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{"t"}, Lease: time.Minute}); !errors.Is(err, task.ErrCold) {
		t.Errorf("Extend on the replica: %v, want ErrCold", err)
	}
	if after := warm(t, s2); !after.New || after.Members != 0 {
		t.Errorf("the next generation: %+v, want a fresh one that is empty", after)
	}
	if _, err := s2.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: many(1)}); !errors.Is(err, task.ErrStale) {
		t.Errorf("Add with knowledge of the master: %v, want ErrStale", err)
	}
}

// A member whose key was lost (an eviction) neither waits nor is in a batch, but has an entry. A partition that is full
// of such members would take nothing in for good, and what lies beyond its horizon
// would never fire (found by torture).
func TestAPartitionFullOfOrphansDropsThem(t *testing.T) {
	for _, lost := range []string{"waiting", "batch:t", "lease"} {
		t.Run("redis7/"+lost, func(t *testing.T) {
			rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
			s := open(t, rdb, 1)
			f := warm(t, s)
			add(t, s, f, many(20))
			if lost != "waiting" {
				if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 20, Lease: time.Minute}); err != nil || len(b.Claims) != 20 {
					t.Fatalf("Claim: %d members, %v", len(b.Claims), err)
				}
			}
			if n := rdb.Del(t.Context(), key(s, lost)).Val(); n != 1 {
				t.Fatalf("%d keys were deleted", n)
			}
			wish := task.HorizonRequest{Epoch: 1, HorizonMS: f.HorizonMS + 1, Limit: 20}
			if _, err := s.Horizon(t.Context(), 0, wish); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Horizon(t.Context(), 0, wish); err != nil || got.Members != 0 || got.HorizonMS != wish.HorizonMS {
				t.Errorf("the next Horizon: %+v, %v; want it empty, and raised to %d", got, err, wish.HorizonMS)
			}
		})
	}
}
