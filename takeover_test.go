package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// apart is a set in memory that stands for a server of its own. It may be mute: State, by
// which a worker looks whether its hot set answers, fails.
type apart struct {
	hotset.Set
	mute bool
}

func (a *apart) Config() hotset.Config {
	c := a.Set.Config()
	c.InProcess = false
	return c
}

func (a *apart) State(ctx context.Context, p int) (task.State, error) {
	if a.mute {
		return task.State{}, fmt.Errorf("state: %w", task.ErrUnavailable)
	}
	return a.Set.State(ctx, p)
}

// sharedFile is a store whose file several processes have: none can know which of them has ended.
type sharedFile struct {
	durable.Store
	drop  func()       // before rows are dropped
	swaps atomic.Int64 // of generations
}

func (s *sharedFile) SwapRecord(ctx context.Context, name, old, to string) (bool, error) {
	if strings.HasPrefix(name, task.RecordGeneration) {
		s.swaps.Add(1)
	}
	return s.Store.SwapRecord(ctx, name, old, to)
}

func (s *sharedFile) Records(ctx context.Context) (task.Records, error) {
	r, err := s.Store.Records(ctx)
	r.Past = nil
	return r, err
}

func (s *sharedFile) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	if s.drop != nil {
		s.drop()
	}
	return s.Store.DeleteByID(ctx, ids, aboveMS)
}

// twoServers runs test in a bubble, on one store and two servers.
func twoServers(t *testing.T, test func(t *testing.T, a, b stores)) {
	bubbles(t, func(t *testing.T, s stores) {
		s.store = &sharedFile{Store: s.store}
		a, b := s, s
		a.set = &apart{Set: s.set}
		other, err := local.New(local.Options{Partitions: s.set.Config().Partitions})
		if err != nil {
			t.Fatal(err)
		}
		b.set = &apart{Set: other}
		test(t, a, b)
	})
}

// After the last worker of a server has stopped, another one announces itself, and counts no
// sooner than 2 s after that.
func TestATakeoverIsAnnouncedTwoSecondsBefore(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		stop := run(t, a.scheduler(t, triggerhook.Options{}))
		sleep(t, 5*time.Second)
		was := recorded(t, a, 0)
		stop()
		run(t, b.scheduler(t, triggerhook.Options{}))
		var announced time.Time
		for is := was; is.Current == was.Current; is = recorded(t, a, 0) {
			if announced.IsZero() && is.Next.Generation != 0 {
				announced = time.Now()
			}
			sleep(t, 10*time.Millisecond)
		}
		if held := time.Since(announced); announced.IsZero() || held < 1900*time.Millisecond || held > 3*time.Second {
			t.Errorf("it counted %s after it was announced, want 2 s", held)
		}
	})
}

// While a worker works with a server, that server's generation is current, whichever other comes.
func TestAServerThatAWorkerUsesKeepsTheHotSet(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		run(t, a.scheduler(t, triggerhook.Options{}))
		sleep(t, 5*time.Second)
		was := recorded(t, a, 0)
		run(t, b.scheduler(t, triggerhook.Options{}))
		announced := false
		for range 600 {
			is := recorded(t, a, 0)
			announced = announced || is.Next.Generation != 0
			if is.Current != was.Current {
				t.Fatalf("%+v counts after %+v", is, was)
			}
			sleep(t, 50*time.Millisecond)
		}
		if !announced {
			t.Error("nothing was announced")
		}
	})
}

// After a failover one process may announce the new master while another one still works with
// the old one, and takes that back. The new master does not wait for long once no process works with the old one.
func TestWhatWasTakenBackIsAnnouncedAgainSoon(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		stop := run(t, a.scheduler(t, triggerhook.Options{}))
		sleep(t, 5*time.Second)
		was := recorded(t, a, 0)
		run(t, b.scheduler(t, triggerhook.Options{}))
		for _, announced := range []bool{true, false} {
			for recorded(t, a, 0).Next.Generation != 0 != announced {
				sleep(t, 10*time.Millisecond)
			}
		}
		stop()
		stopped := time.Now()
		for recorded(t, a, 0).Current == was.Current {
			sleep(t, 10*time.Millisecond)
		}
		if took := time.Since(stopped); took > 6*time.Second {
			t.Errorf("the other server counts %s after the last process had left the first one, want 2 s and a short rest", took)
		}
	})
}

// One feeder takes over again and again, each time as soon as the first time.
func TestEachFailoverIsTakenOverAsSoonAsTheFirst(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		l := &settling{Set: s.set}
		s.set, s.store = &apart{Set: elected{l, s.set}}, &sharedFile{Store: s.store}
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		for n := range 4 {
			sleep(t, 20*time.Second)
			l.loses(t)
			l.moves++
			lost := time.Now()
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint("t-", n), Due: time.Now()}); err != nil {
				t.Fatal(err)
			}
			if _, err := sch.Consume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := l.began.Sub(lost); took > 4*time.Second {
				t.Errorf("failover %d: the new server counts after %s, want 2 s and a moment", n, took)
			}
		}
	})
}

// Claims wait while an announcement stands, so a server that is refused announces itself ever
// less often.
func TestAServerThatIsRefusedRestsEverLonger(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		run(t, a.scheduler(t, triggerhook.Options{}))
		sleep(t, 5*time.Second)
		run(t, b.scheduler(t, triggerhook.Options{}))
		var last int64
		n := 0
		for range 2400 {
			next := recorded(t, a, 0).Next.Generation
			if next != 0 && next != last {
				n++
			}
			last = next
			sleep(t, 50*time.Millisecond)
		}
		if n < 5 || n > 30 {
			t.Errorf("announced %d times in two minutes, want 5 to 30", n)
		}
	})
}

// Of two idle workers one has the roles, and reads the records often enough to keep the hot
// set. If it stops the other one does, wherever in its own long period that is.
func TestAnIdleWorkerThatGetsTheRolesKeepsTheHotSet(t *testing.T) {
	for after := range 9 {
		t.Run(fmt.Sprintf("%ds", after), func(t *testing.T) {
			twoServers(t, func(t *testing.T, a, b stores) {
				stop := run(t, a.scheduler(t, triggerhook.Options{}))
				sleep(t, time.Second)
				run(t, a.scheduler(t, triggerhook.Options{}))
				sleep(t, 5*time.Second+time.Duration(after)*time.Second)
				stop()
				sleep(t, 3*time.Second) // a term, and some
				was := recorded(t, a, 0)
				run(t, b.scheduler(t, triggerhook.Options{}))
				sleep(t, 5*time.Second)
				if is := recorded(t, a, 0); is.Current != was.Current {
					t.Errorf("%+v counts after %+v", is, was)
				}
			})
		})
	}
}

// Who works with another server than the current one cannot tell that what it deletes
// will not fire.
func TestDeleteSaysThatTheHotSetIsElsewhere(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		sch := a.scheduler(t, triggerhook.Options{})
		run(t, sch)
		sleep(t, 5*time.Second)
		other := b.scheduler(t, triggerhook.Options{})
		if err := sch.Create(t.Context(), tasks(2, func(int) time.Time { return time.Now().Add(20 * time.Second) })...); err != nil {
			t.Fatal(err)
		}
		if err := other.Delete(t.Context(), "task-00000"); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete by a process with another server: %v, want ErrUnavailable", err)
		}
		if err := sch.Delete(t.Context(), "task-00001"); err != nil {
			t.Errorf("Delete by a process with the current server: %v", err)
		}
		sleep(t, 70*time.Second) // what waits is given up: a goroutine that is left fails the test
	})
}

// A server takes over while a Delete is under way: what that had read before does not count.
func TestDeleteReadsTheRecordsAfterItsCommit(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		stop := run(t, a.scheduler(t, triggerhook.Options{}))
		sleep(t, 5*time.Second)
		sch, slow := a.scheduler(t, triggerhook.Options{}), a.store.(*sharedFile)
		if err := sch.Create(t.Context(), tasks(1, func(int) time.Time { return time.Now().Add(30 * time.Second) })...); err != nil {
			t.Fatal(err)
		}
		stop()
		taker := b.scheduler(t, triggerhook.Options{})
		var end func()
		slow.drop = func() {
			slow.drop = nil
			end = run(t, taker)
			sleep(t, 20*time.Second) // it counts, and has loaded the row
		}
		if err := sch.Delete(t.Context(), "task-00000"); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete, while another server took over: %v, want ErrUnavailable", err)
		}
		end()
		run(t, a.scheduler(t, triggerhook.Options{})) // it takes over again, which ends what waits
		sleep(t, 20*time.Second)
	})
}

// A worker that cannot object, because its server does not tell of its state, claims nothing
// once another server may count: no task is delivered by both.
func TestNothingIsClaimedUnderOldRecords(t *testing.T) {
	twoServers(t, func(t *testing.T, a, b stores) {
		first := a.scheduler(t, triggerhook.Options{Window: time.Minute})
		run(t, first)
		sleep(t, 5*time.Second)
		all := tasks(300, func(i int) time.Time { return time.Now().Add(time.Duration(i) * 100 * time.Millisecond) })
		if err := first.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		var l ledger
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		one := l.consume(ctx, t, first, 8)
		a.set.(*apart).mute = true
		second := b.scheduler(t, triggerhook.Options{})
		run(t, second)
		l.consume(ctx, t, second, 8).Wait()
		one.Wait()
		if got := recorded(t, b, 0).Current.Server; got == "" || l.len() != len(all) {
			t.Errorf("%d of %d tasks were delivered; server %q counts", l.len(), len(all), got)
		}
		for id, n := range l.times {
			if n > 1 {
				t.Errorf("%s was delivered %d times", id, n)
			}
		}
	})
}

// A worker with a longer Lease than any before claims nothing until all processes that delete know of it.
func TestALongerLeaseIsRecordedTwoSecondsBefore(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		l := &settling{Set: s.set}
		s.set = l
		s.scheduler(t, triggerhook.Options{Lease: time.Second})
		long := s.scheduler(t, triggerhook.Options{Lease: time.Minute})
		began := time.Now()
		run(t, long)
		until(t, "the lease is recorded", 10*time.Second, func() bool {
			r, err := s.store.Records(t.Context())
			l, e := r.Lease()
			return err == nil && e == nil && l.EffectiveMS == 60_000
		})
		sleep(t, 10*time.Second)
		r, err := s.store.Records(t.Context())
		if g, e := r.Generation(0); err != nil || e != nil || l.began.Sub(began) < 1900*time.Millisecond || g.Current.Generation == 0 {
			t.Errorf("the worker with the longer lease began %s after its start, want 2 s; %+v counts", l.began.Sub(began), g)
		}
	})
}
