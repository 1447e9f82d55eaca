package hotset_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/rand"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/hotsettest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

func client(t testing.TB, addr string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func open(t testing.TB, rdb redis.UniversalClient, partitions int) *hotset.Redis {
	t.Helper()
	s, err := hotset.NewRedis(rdb, hotset.Options{Namespace: "t" + strings.ToLower(rand.Text()[:12]), Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSet(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey, testserver.RedisUTF8} {
		t.Run(string(kind), func(t *testing.T) {
			rdb := client(t, testserver.Shared(t, kind).Addr)
			hotsettest.Run(t, func(t *testing.T, partitions int) hotset.Set { return open(t, rdb, partitions) })
		})
	}
	t.Run("miniredis", func(t *testing.T) {
		hotsettest.Run(t, func(t *testing.T, partitions int) hotset.Set {
			return open(t, client(t, miniredis.RunT(t).Addr()), partitions)
		})
	})
}

func TestModel(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
			t.Run(fmt.Sprintf("%s/p%d", kind, partitions), func(t *testing.T) {
				t.Parallel()
				rdb := client(t, testserver.Shared(t, kind).Addr)
				model(t, rdb, partitions, false, func(d time.Duration) { <-time.After(d) })
			})
		}
		t.Run(fmt.Sprintf("miniredis/p%d", partitions), func(t *testing.T) {
			t.Parallel()
			server, now := miniredis.RunT(t), time.Now()
			server.SetTime(now)
			model(t, client(t, server.Addr()), partitions, true, func(d time.Duration) {
				now = now.Add(d)
				server.SetTime(now)
			})
		})
	}
}

// model runs the model test. Turned: pass turns the server's clock.
func model(t *testing.T, rdb *redis.Client, partitions int, turned bool, pass func(time.Duration)) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, rdb, partitions)
		lose := func(p int, all bool) {
			tag := fmt.Sprintf("{%s:%d}:", s.Config().Namespace, p)
			lost := []string{tag + "meta"}
			if all {
				lost = rdb.Keys(rt.Context(), tag+"*").Val()
				lost = slices.DeleteFunc(lost, func(k string) bool { return k == tag+"agent" }) // the holder of a role does not matter here
			}
			if err := rdb.Unlink(rt.Context(), append(lost, tag+"none")...).Err(); err != nil {
				rt.Fatal(err)
			}
		}
		hotsettest.Model(rt, hotsettest.World{Set: s, Pass: pass, Turned: turned, Lose: lose})
	})
}

func warm(t *testing.T, s *hotset.Redis) task.PartitionStatus {
	t.Helper()
	f, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func one(id string) []task.Entry {
	return []task.Entry{{Ref: task.Ref{ID: id, Ver: 1}, NextMS: 1}}
}

func TestAFlushOrARestartIsCold(t *testing.T) {
	server := testserver.Own(t, testserver.Redis)
	rdb := client(t, server.Addr)
	for name, lose := range map[string]func(){
		"flush":            func() { rdb.FlushAll(t.Context()) },
		"restart":          func() { server.Kill(); _ = server.Boot(t.Context()) },
		"restart snapshot": func() { rdb.Save(t.Context()); server.Kill(); _ = server.Boot(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, rdb, 1)
			before := warm(t, s)
			if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: before.AsOf, Entries: one("a")}); err != nil {
				t.Fatal(err)
			}
			lose()
			if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second}); !errors.Is(err, task.ErrCold) {
				t.Errorf("Claim: %v, %v, want ErrCold", b, err)
			}
			if st, err := s.State(t.Context(), 0); err != nil || st.StartMS != st.AsOf.TimeUS/1000 {
				t.Errorf("State of a cold partition: %+v, %v; want one that begins now", st, err)
			}
			after := warm(t, s)
			if st, err := s.State(t.Context(), 0); err != nil || st.StartMS != after.StartMS {
				t.Errorf("State says that it began at %d, %v; want %d", st.StartMS, err, after.StartMS)
			}
			if !after.New || after.AsOf.Generation == before.AsOf.Generation || after.Members != 0 || after.ReadyMS-after.StartMS < 2000 {
				t.Errorf("the next generation is %+v after %+v", after, before)
			}
			if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: before.AsOf, Entries: one("a")}); !errors.Is(err, task.ErrStale) {
				t.Errorf("Add with knowledge of the old generation: %v, want ErrStale", err)
			}
		})
	}
}

func TestScriptsMayBeFlushed(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	rdb.ScriptFlush(t.Context())
	if got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: one("a")}); err != nil || got[0] != task.AddTaken {
		t.Errorf("Add after SCRIPT FLUSH: %v, %v", got, err)
	}
}

// At maxmemory what frees memory still works, and what needs it changes nothing.
func TestAFullServerStillClaimsAndRemoves(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	for _, id := range []string{"a", "b"} {
		if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: one(id)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // anew, and a renewal
		if terms, err := s.Elect(t.Context(), "me", time.Minute, task.Feeder); err != nil || !terms[0].Held {
			t.Errorf("Elect at maxmemory: %+v, %v", terms, err)
		}
	}
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: one("c")}); !errors.Is(err, task.ErrTooLarge) {
		t.Errorf("Add at maxmemory: %v, want ErrTooLarge", err)
	}
	b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 10, Lease: time.Minute})
	if err != nil || len(b.Claims) != 2 {
		t.Fatalf("Claim at maxmemory: %v, %v", b, err)
	}
	held := task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{"t"}, Lease: time.Minute}
	if e, err := s.Extend(t.Context(), 0, held); err != nil || len(e.Lost) > 0 {
		t.Errorf("Extend at maxmemory: %v, %v", e, err)
	}
	a, bb := b.Claims[0].Ref, b.Claims[1].Ref
	if got, err := s.Release(t.Context(), 0, task.ReleaseRequest{Token: "t", Refs: []task.Ref{a}, AtNext: true, Counted: true}); err != nil || got[0] != task.ReleaseWaiting {
		t.Errorf("Release at maxmemory: %v, %v", got, err)
	}
	if _, err := s.Remove(t.Context(), 0, "t", []task.Ref{bb}); err != nil {
		t.Errorf("Remove at maxmemory: %v", err)
	}
}

func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	one := open(t, rdb, 1)
	warm(t, one)
	four, err := hotset.NewRedis(rdb, hotset.Options{Namespace: one.Config().Namespace, Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := four.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second}); !errors.Is(err, task.ErrMismatch) {
		t.Errorf("Claim with 4 partitions where 1 is recorded: %v, want ErrMismatch", err)
	}
}

func TestAnEvictingPolicyIsRefused(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis, "--maxmemory-policy", "allkeys-lru").Addr)
	if _, err := open(t, rdb, 1).State(t.Context(), 0); !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), "allkeys-lru") {
		t.Errorf("State under allkeys-lru: %v, want ErrRefused by name", err)
	}
}

func TestEveryKeyHasItsPartitionsTagAndNoTTL(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	_, err1 := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: append(one("a"), one("b")...)})
	_, err2 := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute})
	_, err3 := s.Remove(t.Context(), 0, "", []task.Ref{{ID: "x", Ver: 1}})
	_, err4 := s.Elect(t.Context(), "me", time.Minute, task.Feeder)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) < 6 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	tag := fmt.Sprintf("{%s:0}:", s.Config().Namespace)
	for _, key := range keys {
		if ttl := rdb.TTL(t.Context(), key).Val(); !strings.HasPrefix(key, tag) || ttl != -1 {
			t.Errorf("key %q has TTL %v; want the prefix %q and none", key, ttl, tag)
		}
	}
}

// Lost keys, as after an eviction: Find reports orphans, which Add then adds.
func TestFindDropsOrphans(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: one("a")}); err != nil {
		t.Fatal(err)
	}
	rdb.Del(t.Context(), fmt.Sprintf("{%s:0}:waiting", s.Config().Namespace))
	ref := one("a")[0].Ref
	if found, err := s.Find(t.Context(), 0, []task.Ref{ref}); err != nil || found[0].Outcome != task.FindOrphan {
		t.Fatalf("Find: %v, %v, want Orphan", found, err)
	}
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: one("a")}); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute}); err != nil || len(b.Claims) != 1 {
		t.Errorf("Claim after that: %v, %v", b, err)
	}
}

// The clock of a server may step back; what it knew to be old stays old.
func TestAClockThatStepsBackMakesNothingFresh(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	ahead := f.AsOf.TimeUS/task.TombstoneTTL.Microseconds() + 5 // periods: the clock was there once
	rdb.HSet(t.Context(), fmt.Sprintf("{%s:0}:meta", s.Config().Namespace), "period", ahead)
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: one("a")}); !errors.Is(err, task.ErrStale) {
		t.Errorf("Add with knowledge from before the clock stepped: %v, want ErrStale", err)
	}
}

func TestNewRedisRefusesBadOptions(t *testing.T) {
	var single *redis.Client
	var cluster *redis.ClusterClient
	for name, rdb := range map[string]redis.UniversalClient{"nil": nil, "nil client": single, "nil cluster": cluster} {
		_, err := hotset.NewRedis(rdb, hotset.Options{Namespace: "9", Partitions: 257})
		for _, want := range []string{"client is nil", `"9"`, "257"} {
			if !errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("NewRedis(%s): %v, want it to name %s", name, err, want)
			}
		}
	}
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, HeartbeatFn: func(context.Context, *redis.Client) bool { return true }})
	defer ring.Close()
	type named struct{ redis.UniversalClient }
	type hidden struct {
		redis.UniversalClient
		inner any
	}
	lagging := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, RouteByLatency: true})
	defer lagging.Close()
	for want, rdb := range map[string]redis.UniversalClient{"is a Ring": ring, "client is a Ring": named{ring}, "redis client is a Ring": &hidden{nil, named{ring}},
		"RouteByLatency true": lagging, "reads from replicas": named{lagging}} {
		if _, err := hotset.NewRedis(rdb, hotset.Options{}); !errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("NewRedis(%T): %v, want ErrInvalid that says %q", rdb, err, want)
		}
	}
	if _, err := hotset.NewRedis(named{client(t, "127.0.0.1:1")}, hotset.Options{}); err != nil {
		t.Errorf("NewRedis of a client that is wrapped: %v", err)
	}
	if _, err := hotset.NewRedis(client(t, "127.0.0.1:1"), hotset.Options{Partitions: -1}); !errors.Is(err, task.ErrInvalid) {
		t.Errorf("NewRedis with -1 partitions: %v, want ErrInvalid", err)
	}
}
