package hotset_test

import (
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// Lost leases may mean old data: a worker has to register, and not to give up.
// Old data, which a failover or a snapshot brings back, may hold batches and leases
// that were reaped since; it names another server.
func TestBatchesOfAnotherServerAreCold(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	add(t, s, f, many(1))
	if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second}); err != nil || len(b.Claims) != 1 {
		t.Fatalf("Claim: %d members, %v, want 1", len(b.Claims), err)
	}
	rdb.HSet(t.Context(), key(s, "meta"), "server", "another")
	if _, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second}); !errors.Is(err, task.ErrCold) {
		t.Errorf("Claim once more with the token of a batch: %v, want ErrCold", err)
	}
	for _, token := range []string{"t", "lost"} {
		_, err := s.Extend(t.Context(), 0, task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{token}, Lease: time.Second})
		if !errors.Is(err, task.ErrCold) {
			t.Errorf("Extend of batch %q: %v, want ErrCold", token, err)
		}
	}
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: many(1), Token: "t", Lease: time.Second}); !errors.Is(err, task.ErrCold) {
		t.Errorf("Add to a batch: %v, want ErrCold", err)
	}
}

// What another server holds is not what workers get.
func TestWaitingOfAnotherServerIsCold(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	add(t, s, warm(t, s), many(3))
	if c, err := s.Waiting(t.Context(), 0, task.MaxDue); err != nil || c.Counts[0] != 3 {
		t.Fatalf("Waiting: %+v, %v, want 3", c, err)
	}
	rdb.HSet(t.Context(), key(s, "meta"), "server", "another")
	if c, err := s.Waiting(t.Context(), 0, task.MaxDue); !errors.Is(err, task.ErrCold) {
		t.Errorf("Waiting of another server: %+v, %v, want ErrCold", c, err)
	}
}

// A set of tombstones is lost alone, as by an eviction. What was known before the removal
// does not come back: the partition is cold, and begins anew.
func TestALostTombstoneIsALossOfData(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			rdb := client(t, testserver.Shared(t, kind).Addr)
			s := open(t, rdb, 1)
			f := warm(t, s)
			add(t, s, f, many(2))
			if _, err := s.Remove(t.Context(), 0, "", []task.Ref{many(2)[0].Ref}); err != nil {
				t.Fatal(err)
			}
			lost := rdb.Keys(t.Context(), key(s, "gone:*")).Val()
			if len(lost) != 1 || rdb.Del(t.Context(), lost...).Val() != 1 {
				t.Fatalf("%q hold tombstones, want one set", lost)
			}
			if got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: many(1)}); !errors.Is(err, task.ErrCold) {
				t.Errorf("Add of what was removed: %v, %v, want ErrCold", got, err)
			}
			if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 9, Lease: time.Minute}); !errors.Is(err, task.ErrCold) {
				t.Errorf("Claim: %+v, %v, want ErrCold", b, err)
			}
			next := warm(t, s)
			if !next.New || next.Members != 0 {
				t.Errorf("the next Horizon answered %+v, want a new generation", next)
			}
			if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: many(1)}); !errors.Is(err, task.ErrStale) {
				t.Errorf("Add with knowledge of before: %v, want ErrStale", err)
			}
		})
	}
}
