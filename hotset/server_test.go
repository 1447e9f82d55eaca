package hotset_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("github.com/triggerhook/triggerhook/internal/testserver.background"))
}

func many(n int) []task.Entry {
	all := make([]task.Entry, n)
	for i := range all {
		all[i] = task.Entry{Ref: task.Ref{ID: fmt.Sprintf("%06d-aaaa-bbbb-cccc-ddddeeeeffff", i), Ver: int64(i)}, NextMS: 1, Payload: make([]byte, 100)}
	}
	return all
}

func add(t *testing.T, s *hotset.Redis, f task.PartitionStatus, entries []task.Entry) {
	t.Helper()
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: entries}); err != nil {
		t.Fatal(err)
	}
}

func key(s *hotset.Redis, name string) string {
	return fmt.Sprintf("{%s:0}:%s", s.Config().Namespace, name)
}

// processed is Redis's own count, commands inside of scripts included.
func processed(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	info := rdb.Info(t.Context(), "stats").Val()
	m := regexp.MustCompile(`total_commands_processed:(\d+)`).FindStringSubmatch(info)
	if m == nil {
		t.Fatalf("INFO stats: %q", info)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// Idle workers cost little: these are what the limit of 20 commands a second is
// made of.
func TestAnIdleSetCostsFewCommands(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	add(t, s, f, []task.Entry{{Ref: task.Ref{ID: "later"}, NextMS: 1 << 41}})
	for name, c := range map[string]struct {
		most int
		call func() error
	}{
		"Claim": {5, func() error {
			_, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 10, Lease: time.Second})
			return err
		}},
		"Extend": {3, func() error {
			_, err := s.Extend(t.Context(), 0, task.ExtendRequest{Generation: f.AsOf.Generation, Lease: time.Second})
			return err
		}},
		"a contender's Elect": {3, func() error {
			_, err := s.Elect(t.Context(), "b", time.Minute, task.Feeder, task.Auditor)
			return err
		}},
		"Clock": {0, func() error { _, err := s.Clock(t.Context(), 0); return err }},
	} {
		if _, err := s.Elect(t.Context(), "a", time.Minute, task.Feeder, task.Auditor); err != nil {
			t.Fatal(err)
		}
		if err := c.call(); err != nil { // loads the script
			t.Fatal(err)
		}
		got := 1 << 20
		for range 3 { // each 10 s one call pays 2 more for a new period of T
			before := processed(t, rdb)
			if err := c.call(); err != nil {
				t.Fatal(err)
			}
			got = min(got, processed(t, rdb)-before-1)
		}
		if got != c.most {
			t.Errorf("an idle %s is %d commands, want %d", name, got, c.most)
		}
	}
}

// deaf is a connection that loses answers while its switch is on.
type deaf struct {
	net.Conn
	lose *atomic.Int32
}

func (d deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if d.lose.Load() > 0 && err == nil {
		d.lose.Add(-1)
		d.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// The client sends a claim again whose answer was lost: no batch is left that no worker knows.
func TestAClaimWhoseAnswerWasLostIsClaimedOnce(t *testing.T) {
	addr := testserver.Shared(t, testserver.Redis).Addr
	var lose atomic.Int32
	rdb := redis.NewClient(&redis.Options{Addr: addr, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return deaf{c, &lose}, err
	}})
	defer rdb.Close()
	s := open(t, rdb, 1)
	add(t, s, warm(t, s), many(100))
	if _, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "first", Limit: 1, Lease: time.Minute}); err != nil { // loads the script
		t.Fatal(err)
	}
	lose.Store(1)
	b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 50, Lease: time.Minute})
	if err != nil { // the client gave up: so does its caller, with the same token
		b, err = s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 50, Lease: time.Minute})
	}
	if err != nil || len(b.Claims) != 50 || lose.Load() != 0 {
		t.Fatalf("Claim: %d members, %v, want 50", len(b.Claims), err)
	}
	if st, err := s.State(t.Context(), 0); err != nil || st.Claimed != 51 || st.Waiting != 49 {
		t.Errorf("State: %+v, %v, want 51 claimed and 49 waiting", st, err)
	}
}

func TestScriptsMayBeFlushedInMidRun(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	add(t, s, warm(t, s), many(2000))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			rdb.ScriptFlush(ctx)
		}
	})
	var taken atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			for i := 0; taken.Load() < 2000 && ctx.Err() == nil; i++ {
				b, err := s.Claim(ctx, 0, task.ClaimRequest{Token: fmt.Sprint(w, "-", i), Limit: 20, Lease: time.Minute})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					cancel()
				}
				taken.Add(int64(len(b.Claims)))
			}
			cancel()
		})
	}
	wg.Wait()
	if taken.Load() != 2000 {
		t.Errorf("%d of 2000 members were claimed", taken.Load())
	}
}

// A claim with a limit of 0 takes no member.
func TestAClaimOfNoneChangesNothing(t *testing.T) {
	s := open(t, client(t, testserver.Shared(t, testserver.Redis).Addr), 1)
	add(t, s, warm(t, s), many(3))
	for _, limit := range []int{0, -5} {
		if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: fmt.Sprint(limit), Limit: limit, Lease: time.Second}); err != nil || len(b.Claims) != 0 {
			t.Errorf("Claim of %d: %v, %v", limit, b, err)
		}
	}
	if st, err := s.State(t.Context(), 0); err != nil || st.Waiting != 3 {
		t.Errorf("State: %+v, %v, want 3 waiting", st, err)
	}
}

// A batch that was lost (an eviction) leaves a lease that would be expired for ever.
func TestALeaseWhoseBatchIsLostEnds(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	add(t, s, warm(t, s), many(3))
	if _, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 3, Lease: 0}); err != nil {
		t.Fatal(err)
	}
	rdb.Del(t.Context(), key(s, "batch:t"))
	expired := func() []task.ExpiredBatch {
		all, err := s.Expired(t.Context(), 0, 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for len(expired()) == 0 { // until its millisecond is over
		<-time.After(time.Millisecond)
	}
	if all := expired(); len(all) != 1 || len(all[0].Refs) != 0 {
		t.Fatalf("Expired: %+v, want one batch of none", all)
	}
	asOf, err := s.Clock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Release(t.Context(), 0, task.ReleaseRequest{Token: "t", Expired: true, AsOf: asOf}); err != nil {
		t.Fatal(err)
	}
	if all := expired(); len(all) != 0 {
		t.Errorf("Expired after its release: %+v", all)
	}
}

// Many members in many batches: the answers are those that one script would give.
func TestFindAmongThousandsOfBatches(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	entries := many(3000)
	add(t, s, warm(t, s), entries)
	for i := range 2500 {
		if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: fmt.Sprint("t", i), Limit: 1, Lease: time.Minute}); err != nil || len(b.Claims) != 1 {
			t.Fatalf("Claim %d: %v, %v", i, b, err)
		}
	}
	b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "orphaned", Limit: 3, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	rdb.Del(t.Context(), key(s, "batch:orphaned"))
	b2, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "lossy", Limit: 2, Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	rdb.HDel(t.Context(), key(s, "task"), rdb.SMembers(t.Context(), key(s, "batch:lossy")).Val()...)
	refs := []task.Ref{{ID: "absent", Ver: 1}}
	for _, e := range entries {
		refs = append(refs, e.Ref)
	}
	found, err := s.Find(t.Context(), 0, refs)
	if err != nil {
		t.Fatal(err)
	}
	count := map[task.FindOutcome]int{}
	answers := map[task.Ref]task.FindOutcome{}
	for i, f := range found {
		count[f.Outcome]++
		answers[refs[i]] = f.Outcome
	}
	if want := map[task.FindOutcome]int{task.FindAbsent: 1, task.FindClaimed: 2502, task.FindOrphan: 3, task.FindWaiting: 495}; !maps.Equal(count, want) {
		t.Errorf("Find answered %v, want %v", count, want)
	}
	for _, c := range b.Claims {
		if answers[c.Ref] != task.FindOrphan {
			t.Errorf("%s, whose batch is lost: %v, want Orphan", c.ID, answers[c.Ref])
		}
	}
	for _, c := range b2.Claims {
		if answers[c.Ref] != task.FindClaimed {
			t.Errorf("%s, whose entry is lost: %v, want Claimed", c.ID, answers[c.Ref])
		}
	}
}

// Thousands of batches of an old generation end with it, and none is left behind.
func TestANewGenerationEndsAllBatches(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	add(t, s, f, many(2500))
	for i := range 2500 {
		if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: fmt.Sprint("t", i), Limit: 1, Lease: time.Minute}); err != nil || len(b.Claims) != 1 {
			t.Fatalf("Claim %d: %v, %v", i, b, err)
		}
	}
	rdb.HSet(t.Context(), key(s, "meta"), "server", "another")
	if again := warm(t, s); !again.New || again.AsOf.Generation == f.AsOf.Generation {
		t.Fatalf("Horizon: %+v, want a new generation", again)
	}
	if keys := rdb.Keys(t.Context(), "*").Val(); len(keys) != 1 {
		t.Errorf("%d keys are left, want meta alone; %.200q", len(keys), keys)
	}
}

// At maxmemory the roles stay filled, and the partition retreats, which frees it.
func TestAFullServerStillRetreats(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	add(t, s, warm(t, s), many(30))
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if terms, err := s.Elect(t.Context(), "me", time.Minute, task.Feeder); err != nil || !terms[0].Held {
		t.Errorf("Elect at maxmemory: %+v, %v", terms, err)
	}
	f, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 2, HorizonMS: 1 << 42, Limit: 10})
	if err != nil || !f.Retreated || f.Members >= 30 {
		t.Errorf("Horizon at maxmemory: %+v, %v, want a retreat", f, err)
	}
	if f, err = s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 2, HorizonMS: 1 << 42, Limit: 10}); err != nil {
		t.Errorf("Horizon at maxmemory once more: %+v, %v", f, err)
	}
}

// After the clock stepped back the set goes on: an as_of from now is valid.
func TestAClockThatSteppedBackStopsNothing(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	rdb.HSet(t.Context(), key(s, "meta"), "period", f.AsOf.TimeUS/task.TombstoneTTL.Microseconds()+360)
	st, err := s.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: st.AsOf, Entries: one("a")})
	if err != nil || got[0] != task.AddTaken {
		t.Fatalf("Add an hour behind: %v, %v", got, err)
	}
	if _, err := s.Remove(t.Context(), 0, "", []task.Ref{one("a")[0].Ref}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: st.AsOf, Entries: one("a")}); err != nil || got[0] != task.AddDead {
		t.Errorf("Add of a removed member an hour behind: %v, %v, want Dead", got, err)
	}
}

// Delays are whole milliseconds, rounded up, and as long as they may be.
func TestAReleaseOfAnyDelay(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	for delay, want := range map[time.Duration]task.ReleaseOutcome{math.MinInt64: task.ReleaseWaiting, 0: task.ReleaseWaiting, 1: task.ReleaseWaiting, time.Hour: task.ReleaseWaiting, math.MaxInt64: task.ReleaseBeyond} {
		s := open(t, rdb, 1)
		add(t, s, warm(t, s), many(1))
		if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute}); err != nil || len(b.Claims) != 1 {
			t.Fatalf("Claim: %d members, %v, want 1", len(b.Claims), err)
		}
		before := time.Now().UnixMilli()
		got, err := s.Release(t.Context(), 0, task.ReleaseRequest{Token: "t", Refs: []task.Ref{many(1)[0].Ref}, Delay: delay})
		if err != nil || got[0] != want {
			t.Errorf("Release for %s: %v, %v, want %v", delay, got, err, want)
		}
		for _, z := range rdb.ZRangeWithScores(t.Context(), key(s, "waiting"), 0, 0).Val() {
			if least := before + max(0, delay).Milliseconds(); int64(z.Score) < least {
				t.Errorf("Release for %s: offered at %.0f, want %d at least", delay, z.Score, least)
			}
		}
	}
}

// A call through a closed client answers ErrClosed, because waiting mends nothing.
func TestAClosedClientIsErrClosed(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr})
	s := open(t, rdb, 1)
	_ = rdb.Close()
	if _, err := s.Remove(t.Context(), 0, "", []task.Ref{{ID: "a", Ver: 1}}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Remove: %v, want ErrClosed", err)
	}
}

func TestAnAbsentServerIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := open(t, client(t, l.Addr().String()), 1)
	if _, err := s.State(t.Context(), 0); !errors.Is(err, task.ErrUnavailable) {
		t.Errorf("State: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.State(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("State with an ended context: %v", err)
	}
	if err := s.Watch(ctx, task.Watcher{Wake: make(chan struct{})}); err != nil {
		t.Errorf("Watch with an ended context: %v", err)
	}
}

func BenchmarkRedis(b *testing.B) {
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(b, testserver.Redis).Addr})
	defer rdb.Close()
	s, err := hotset.NewRedis(rdb, hotset.Options{Namespace: fmt.Sprint("b", time.Now().UnixNano())})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	f, err := s.Horizon(ctx, 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	entries := many(1000)
	var adds, claims, removes time.Duration
	for i := 0; b.Loop(); i++ {
		for j := range entries {
			entries[j].Ver = int64(i)<<20 + int64(j)
		}
		asOf, _ := s.Clock(ctx, 0)
		asOf.Generation = f.AsOf.Generation
		t0 := time.Now()
		_, err1 := s.Feed(ctx, 0, task.FeedRequest{AsOf: asOf, Epoch: 1, Entries: entries})
		t1 := time.Now()
		batch, err2 := s.Claim(ctx, 0, task.ClaimRequest{Token: fmt.Sprint("t", i), Limit: 1000, Lease: time.Minute})
		t2 := time.Now()
		refs := make([]task.Ref, len(batch.Claims))
		for j, c := range batch.Claims {
			refs[j] = c.Ref
		}
		_, err3 := s.Remove(ctx, 0, batch.Token, refs)
		removes += time.Since(t2)
		adds, claims = adds+t1.Sub(t0), claims+t2.Sub(t1)
		if err := errors.Join(err1, err2, err3); err != nil || len(refs) != 1000 {
			b.Fatal(len(refs), err)
		}
	}
	n := float64(b.N) * 1000
	b.ReportMetric(n/adds.Seconds(), "feeds/s")
	b.ReportMetric(n/claims.Seconds(), "claims/s")
	b.ReportMetric(n/removes.Seconds(), "removes/s")
}
