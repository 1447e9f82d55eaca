package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// bubbles runs a test on the embedded pair, with 1 and 4 partitions, in time that
// stands still while anything runs.
func bubbles(t *testing.T, test func(t *testing.T, s stores)) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("bolt+local/p%d", partitions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, embedded(t, partitions)) })
		})
	}
}

// drain consumes for that long and returns what came.
func drain(t *testing.T, sch *triggerhook.Scheduler, d time.Duration) *ledger {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var l ledger
	l.consume(ctx, t, sch, 4).Wait()
	return &l
}

// elections is a set that takes some time to answer, as a server does. Its process may fall silent, as one that died,
// and the set counts what the process asks.
type elections struct {
	hotset.Set
	mu   sync.Mutex
	dead bool
	n    int
	held bool
}

const answerTime = 8 * time.Millisecond

func (e *elections) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	<-time.After(answerTime)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	if e.dead {
		return nil, fmt.Errorf("elect: %w", task.ErrUnavailable)
	}
	terms, err := e.Set.Elect(ctx, holder, term, roles...)
	e.held = err == nil && terms[0].Held && terms[1].Held
	return terms, err
}

// look returns whether the process holds the roles, and how often it stood.
func (e *elections) look() (held bool, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held, e.n
}

func (e *elections) die() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = true
}

// The process that holds the roles dies without resigning: another one has them within 3 s, whenever it began to ask
// for them and whenever the holder died.
func TestRolesAreTakenOverWithinThreeSeconds(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		start := func() (*elections, func()) {
			e := &elections{Set: s.set}
			with := s
			with.set = e
			return e, run(t, with.scheduler(t, triggerhook.Options{}))
		}
		var stops []func()
		holder, stop := start()
		stops = append(stops, stop)
		for phase := range 16 {
			sleep(t, time.Duration(1+phase)*190*time.Millisecond)
			next, stop := start()
			stops = append(stops, stop)
			sleep(t, 10*time.Second+time.Duration(phase)*70*time.Millisecond)
			if held, _ := next.look(); held {
				t.Fatal("a second process holds a role beside the first")
			}
			holder.die()
			died := time.Now()
			for held := false; !held; held, _ = next.look() {
				if time.Since(died) > 20*time.Second {
					t.Fatal("no process took over")
				}
				sleep(t, 10*time.Millisecond)
			}
			if took := time.Since(died); took > 3*time.Second {
				t.Errorf("%d: it took %s until another held the roles", phase, took)
			}
			holder = next
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// deaf is a process that hears nothing, as one whose subscription is down.
type deaf struct{ *elections }

func (deaf) Watch(ctx context.Context, _ task.Watcher) error {
	<-ctx.Done()
	return nil
}

// asking is a process that counts its claims.
type asking struct {
	*elections
	claims atomic.Int64
}

func (a *asking) Claim(ctx context.Context, p int, c task.ClaimRequest) (task.Batch, error) {
	a.claims.Add(1)
	return a.elections.Claim(ctx, p, c)
}

// While nothing happens one process alone asks the hot set anything: the others hear that the roles are kept, and that nothing is to be offered.
func TestAnIdleProcessAsksNothing(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var all []*asking
		start := time.Now()
		due := start.Add(5 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		var l ledger
		for i := range 4 {
			a := &asking{elections: &elections{Set: s.set}}
			with := s
			with.set = a
			sch := with.scheduler(t, triggerhook.Options{})
			run(t, sch)
			if i == 0 {
				if err := sch.Create(t.Context(), tasks(1, func(int) time.Time { return due })...); err != nil {
					t.Error(err)
				}
			}
			consumed := l.consume(ctx, t, sch, 1) // each waits for a task
			defer consumed.Wait()
			all = append(all, a)
			sleep(t, 310*time.Millisecond)
		}
		sleep(t, 20*time.Second)
		before := map[*asking]int{}
		for _, a := range all {
			_, before[a] = a.look()
			a.claims.Store(0)
		}
		sleep(t, time.Minute)
		for i, a := range all {
			held, n := a.look()
			if asked := n - before[a]; !held && asked > 0 {
				t.Errorf("process %d, which holds no role, asked for one %d times in a minute", i, asked)
			}
			if n := a.claims.Load(); n > 0 {
				t.Errorf("process %d claimed %d times in a minute in which nothing was due", i, n)
			}
		}
		sleep(t, time.Until(due)+time.Second)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.worst > 2*answerTime || len(l.times) != 1 {
			t.Errorf("%d tasks came, %s late, want one in time", len(l.times), l.worst)
		}
		cancel()
	})
}

// A process that waits for a role, and hears of no renewal, asks once a term, not at each renewal.
func TestAProcessThatWaitsForARoleAsksOnceATerm(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var all []*elections
		for i := range 6 {
			e := &elections{Set: s.set}
			with := s
			with.set = deaf{e}
			stop := run(t, with.scheduler(t, triggerhook.Options{}))
			defer stop()
			all = append(all, e)
			sleep(t, time.Duration(i)*310*time.Millisecond)
		}
		sleep(t, 10*time.Second)
		var before []int
		for _, e := range all {
			_, n := e.look()
			before = append(before, n)
		}
		sleep(t, time.Minute)
		for i, e := range all {
			held, n := e.look()
			if asked := n - before[i]; !held && (asked < 20 || asked > 22) {
				t.Errorf("process %d, which holds no role, asked %d times in a minute, want about 21", i, asked)
			}
		}
	})
}

// What a partition has lost, or has left on another server, is not there until the feeder has
// looked, which it does each 5 s. A claim that finds it cold has the feeder look at once.
func TestAColdPartitionIsLookedAtAtOnce(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 2500 * time.Millisecond, 4 * time.Second} { // the beginning
		t.Run(after.String(), func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) { coldAfter(t, s, 10*time.Second+after) })
		})
	}
}

func coldAfter(t *testing.T, s stores, after time.Duration) {
	empty, err := local.New(local.Options{Partitions: s.set.Config().Partitions})
	if err != nil {
		t.Fatal(err)
	}
	a := &address{Set: s.set, other: empty}
	l := &settling{Set: a} // one server, whatever it holds
	s.set = elected{l, s.set}
	sch := s.scheduler(t, triggerhook.Options{})
	run(t, sch)
	start := time.Now()
	if err := sch.Create(t.Context(), tasks(400, func(i int) time.Time { return start.Add(time.Duration(i) * 50 * time.Millisecond) })...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all ledger
	consumed := all.consume(ctx, t, sch, 4)
	sleep(t, after)
	lost := time.Now()
	a.leads.Store(toOther)
	sleep(t, 6*time.Second)
	l.mu.Lock()
	took := l.began.Sub(lost)
	l.mu.Unlock()
	if took < 0 || took > feedEvery {
		t.Errorf("a generation began %s after the data was lost, want at most %s", took, feedEvery)
	}
	cancel()
	consumed.Wait()
}

// elected is a set whose roles are not lost with the rest: they are in another one, as that
// of the partition of roles on another node of a cluster.
type elected struct {
	hotset.Set
	roles hotset.Set
}

func (e elected) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	return e.roles.Elect(ctx, holder, term, roles...)
}

// feedEvery is how often a claim can have the feeder look.
const feedEvery = time.Second

// unelected is a set whose elections fail while it is away.
type unelected struct {
	hotset.Set
	away atomic.Bool
	held atomic.Int64 // elections that went well
}

func (u *unelected) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if u.away.Load() {
		return nil, fmt.Errorf("elect: %w", task.ErrUnavailable)
	}
	u.held.Add(1)
	return u.Set.Elect(ctx, holder, term, roles...)
}

// After an outage there is a feeder again within a moment, not half a term later.
func TestAnElectionThatFailedIsHeldAgainSoon(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		u := &unelected{Set: s.set}
		s.set = u
		run(t, s.scheduler(t, triggerhook.Options{}))
		for range 20 {
			sleep(t, 5*time.Second)
			u.away.Store(true)
			sleep(t, 2300*time.Millisecond) // an election has failed
			u.away.Store(false)
			before := u.held.Load()
			sleep(t, 301*time.Millisecond)
			if u.held.Load() == before {
				t.Fatal("no election within 300 ms after an outage")
			}
		}
	})
}
