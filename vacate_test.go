package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// address is where a server answers, or another one later, or none.
type address struct {
	hotset.Set // its Config, and what every server is told
	other      hotset.Set
	leads      atomic.Int32 // to which of the two; else to none
	last       bool         // it is that of the last partition alone, and the others', and the roles, stay
}

const (
	toFirst = iota
	toOther
	toNone
)

// noPartition is what an election is about.
const noPartition = -1

// reach makes a call about partition p to the server that the address leads to.
func reach[R any](a *address, p int, call func(hotset.Set) (R, error)) (r R, err error) {
	switch to := a.leads.Load(); {
	case to == toFirst || a.last && p != a.Set.Config().Partitions-1:
		return call(a.Set)
	case to == toOther:
		return call(a.other)
	}
	return r, fmt.Errorf("connection refused: %w", task.ErrUnavailable)
}

func (a *address) Config() hotset.Config {
	c := a.Set.Config()
	c.InProcess = false
	return c
}

func (a *address) Expect(e task.Expected) error {
	if err := a.other.Expect(e); err != nil {
		return err
	}
	return a.Set.Expect(e)
}

func (a *address) Watch(ctx context.Context, w task.Watcher) error {
	var both sync.WaitGroup
	both.Go(func() { _ = a.other.Watch(ctx, a.heard(w, toOther)) })
	defer both.Wait()
	return a.Set.Watch(ctx, a.heard(w, toFirst))
}

// heard is w, except that it hears of elections and of quiet partitions only while the address leads there.
func (a *address) heard(w task.Watcher, from int32) task.Watcher {
	kept, quiet := w.Kept, w.Quiet
	w.Kept = func(roles []task.Role, term time.Duration) {
		if kept != nil && a.leads.Load() == from {
			kept(roles, term)
		}
	}
	w.Quiet = func(p int) {
		if quiet != nil && a.leads.Load() == from {
			quiet(p)
		}
	}
	return w
}

func (a *address) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return reach(a, p, func(s hotset.Set) (task.AsOf, error) { return s.Clock(ctx, p) })
}

func (a *address) State(ctx context.Context, p int) (task.State, error) {
	return reach(a, p, func(s hotset.Set) (task.State, error) { return s.State(ctx, p) })
}

func (a *address) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	return reach(a, p, func(s hotset.Set) (task.PartitionStatus, error) { return s.Horizon(ctx, p, f) })
}

func (a *address) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return reach(a, p, func(s hotset.Set) (task.PartitionStatus, error) { return s.Feed(ctx, p, page) })
}

func (a *address) Add(ctx context.Context, p int, add task.AddRequest) ([]task.AddOutcome, error) {
	return reach(a, p, func(s hotset.Set) ([]task.AddOutcome, error) { return s.Add(ctx, p, add) })
}

func (a *address) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	return reach(a, p, func(s hotset.Set) (task.RemoveResult, error) { return s.Remove(ctx, p, token, refs) })
}

func (a *address) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	return reach(a, p, func(s hotset.Set) (task.Batch, error) {
		return s.Claim(ctx, p, req)
	})
}

func (a *address) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	return reach(a, p, func(s hotset.Set) (task.ExtendResult, error) { return s.Extend(ctx, p, h) })
}

func (a *address) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return reach(a, p, func(s hotset.Set) ([]task.ReleaseOutcome, error) { return s.Release(ctx, p, r) })
}

func (a *address) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return reach(a, p, func(s hotset.Set) ([]task.FindResult, error) { return s.Find(ctx, p, refs) })
}

func (a *address) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return reach(a, p, func(s hotset.Set) ([]task.ExpiredBatch, error) { return s.Expired(ctx, p, limit, lease) })
}

func (a *address) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	return reach(a, noPartition, func(s hotset.Set) ([]task.Term, error) { return s.Elect(ctx, holder, term, roles...) })
}

// outages runs test in a bubble: two workers and their tasks, one each 100 ms, at an address
// that leads to another server once test says so.
func outages(t *testing.T, test func(t *testing.T, s stores, a *address)) {
	twoServers(t, func(t *testing.T, first, second stores) {
		a := &address{Set: first.set, other: second.set}
		first.set = a
		one, two := first.scheduler(t, triggerhook.Options{}), first.scheduler(t, triggerhook.Options{})
		run(t, one)
		run(t, two)
		if err := one.Create(t.Context(), tasks(600, func(i int) time.Time { return time.Now().Add(time.Duration(i) * 100 * time.Millisecond) })...); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Second)
		defer cancel()
		var l ledger
		ends := []*sync.WaitGroup{l.consume(ctx, t, one, 4), l.consume(ctx, t, two, 4)}
		sleep(t, 10*time.Second)
		test(t, first, a)
		for _, e := range ends {
			e.Wait()
		}
		if l.len() != 600 || len(l.early) > 0 {
			t.Errorf("%d of 600 tasks were delivered; early: %v", l.len(), l.early)
		}
	})
}

// counted waits until another generation is current than was, in all partitions, and returns how long
// that took; meanwhile look is called.
func counted(t *testing.T, s stores, was []task.Generation, look func()) time.Duration {
	t.Helper()
	began := time.Now()
	for p := range was {
		for recorded(t, s, p).Current == was[p].Current {
			look()
			sleep(t, 10*time.Millisecond)
			if time.Since(began) > 20*time.Second {
				t.Fatalf("after 20 s %+v is recorded of partition %d", recorded(t, s, p), p)
			}
		}
	}
	return time.Since(began)
}

// records are what is recorded of all partitions.
func records(t *testing.T, s stores) (all []task.Generation) {
	t.Helper()
	for p := range s.set.Config().Partitions {
		all = append(all, recorded(t, s, p))
	}
	return all
}

// An outage that is longer than an announcement has to stand ends when another server answers.
func TestAnOutageCountsTowardsTheTakeover(t *testing.T) {
	outages(t, func(t *testing.T, s stores, a *address) {
		was := records(t, s)
		a.leads.Store(toNone)
		sleep(t, 3500*time.Millisecond)
		for p, is := range records(t, s) {
			if is.Current != was[p].Current || is.Next.Server != task.Anywhere {
				t.Errorf("in the outage %+v is recorded of partition %d", is, p)
			}
		}
		a.leads.Store(toOther)
		if took := counted(t, s, was, func() {}); took > 1100*time.Millisecond {
			t.Errorf("another generation is current %s after the outage, want 1 s", took)
		}
	})
}

// The same of one node of a cluster: the others' partitions, and the roles, stay where they are.
func TestAnOutageOfOnePartitionCountsTowardsItsTakeover(t *testing.T) {
	outages(t, func(t *testing.T, s stores, a *address) {
		a.last = true
		was := records(t, s)
		last := len(was) - 1
		a.leads.Store(toNone)
		sleep(t, 3500*time.Millisecond)
		if is := recorded(t, s, last); is.Current != was[last].Current || is.Next.Server != task.Anywhere {
			t.Errorf("in the outage %+v is recorded", is)
		}
		a.leads.Store(toOther)
		sleep(t, 10*time.Second)
		for p, is := range records(t, s) {
			if moved := is.Current != was[p].Current; moved != (p == last) || is.Next.Generation != 0 {
				t.Errorf("%+v is recorded of partition %d, and %+v was", is, p, was[p])
			}
		}
	})
}

// A server that takes over at once counts no sooner than an announcement has stood for 2 s.
func TestAShortOutageIsAnnouncedTwoSecondsBefore(t *testing.T) {
	outages(t, func(t *testing.T, s stores, a *address) {
		was := records(t, s)
		a.leads.Store(toNone)
		var announced time.Time
		for announced.IsZero() {
			sleep(t, 10*time.Millisecond)
			if recorded(t, s, 0).Next.Generation != 0 {
				announced = time.Now()
			}
		}
		a.leads.Store(toOther)
		counted(t, s, was[:1], func() {})
		if held := time.Since(announced); held < 1900*time.Millisecond || held > 3*time.Second {
			t.Errorf("it counted %s after it was announced, want 2 s", held)
		}
	})
}

// A server that answers again keeps the hot set, and deliveries go on.
func TestAServerThatAnswersAgainKeepsTheHotSet(t *testing.T) {
	outages(t, func(t *testing.T, s stores, a *address) {
		was := records(t, s)
		for range 3 {
			a.leads.Store(toNone)
			sleep(t, 4*time.Second)
			a.leads.Store(toFirst)
			sleep(t, 2*time.Second)
			for p, is := range records(t, s) {
				if is != was[p] {
					t.Errorf("%+v is recorded of partition %d, want %+v", is, p, was[p])
				}
			}
		}
	})
}

// A worker that alone reaches no server announces that now and then, and stops no other worker.
func TestAWorkerThatIsCutOffTakesNothingAway(t *testing.T) {
	twoServers(t, func(t *testing.T, first, second stores) {
		run(t, first.scheduler(t, triggerhook.Options{}))
		cut := first
		a := &address{Set: first.set, other: second.set}
		cut.set = a
		sch := cut.scheduler(t, triggerhook.Options{Lease: 10 * time.Minute})
		run(t, sch)
		sleep(t, 10*time.Second)
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "held", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		next(t, sch) // a worker that holds something reads the records each second, and so hears at once that it was taken back
		was := records(t, first)
		a.leads.Store(toNone)
		announced, stands := 0, false
		for range 6000 {
			is := recorded(t, first, 0)
			if is.Current != was[0].Current {
				t.Fatalf("%+v counts after %+v", is, was[0])
			}
			if now := is.Next.Generation != 0; now != stands {
				stands = now
				if now {
					announced++
				}
			}
			sleep(t, 10*time.Millisecond)
		}
		if announced == 0 || announced > 60/5+1 {
			t.Errorf("it announced %d times in a minute, want once in 5 to 10 s", announced)
		}
	})
}

// What answers, though not every call, is not announced as silent.
func TestAFailedClaimAnnouncesNothingIfTheServerAnswers(t *testing.T) {
	twoServers(t, func(t *testing.T, first, _ stores) {
		claims := &deafClaims{Set: first.set}
		first.set = claims
		sch := first.scheduler(t, triggerhook.Options{})
		run(t, sch)
		drain(t, sch, 5*time.Second)
		swaps := &first.store.(*sharedFile).swaps
		before := swaps.Load()
		drain(t, sch, 15*time.Second)
		if n := swaps.Load() - before; n > 0 || claims.n.Load() == 0 {
			t.Errorf("after %d claims without an answer: %d announcements, or what took them back", claims.n.Load(), n)
		}
	})
}

// deafClaims is a set that answers no claim.
type deafClaims struct {
	hotset.Set
	n atomic.Int64 // claims so far
}

func (d *deafClaims) Claim(context.Context, int, task.ClaimRequest) (task.Batch, error) {
	d.n.Add(1)
	return task.Batch{}, fmt.Errorf("claim: %w", task.ErrUnavailable)
}
