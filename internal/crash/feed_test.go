package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// idle is an order to work without any caller that consumes: the background roles
// are what it does.
var idle = order{Work: &work{}}

// scanned checks how many rows the next worker's feeder read.
func (w *worker) scanned(want uint64) {
	w.c.Helper()
	if st, _ := w.sch.Stats(w.c.Context()); st.Process.Scanned != want {
		w.c.Errorf("killed at %s, and the next worker read %d rows, want %d", w.c.point, st.Process.Scanned, want)
	}
}

// No window is effective: the next feeder is the namespace's first.
func TestTheFirstFeederKilledBeforeItMakesTheWindowEffectiveIsReplaced(t *testing.T) {
	killedAt(t, "feed/effective", 1, func(c *cell) {
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if w, err := c.window(); err != nil || w.EffectiveMS != 0 {
			c.Errorf("the window is %+v, %v", w, err)
		}
		c.holds(2, 0, 0)
		c.next(never).delivers("a 1", "b 1")
	})
}

// A window is effective, and no generation has begun. The next feeder is not the first.
func TestTheFirstFeederKilledBeforeItBeginsIsReplaced(t *testing.T) {
	killedAt(t, "feed/horizon", 1, func(c *cell) {
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if w, err := c.window(); err != nil || w.EffectiveMS == 0 {
			c.Errorf("the window is %+v, %v", w, err)
		}
		c.holds(2, 0, 0)
		c.next(never).delivers("a 1", "b 1")
		if st := c.state(0); st.AsOf.TimeUS/1000 < st.StartMS+2000 {
			c.Errorf("delivered %d ms after the generation began, want a wait for workers to register", st.AsOf.TimeUS/1000-st.StartMS)
		}
	})
}

// Nothing happened. The dead feeder's term ends, and the next one begins.
func TestAFeederKilledBeforeItRaisesTheHorizonIsReplaced(t *testing.T) {
	killedAt(t, "feed/horizon", 1, func(c *cell) {
		c.begun()
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if st := c.state(0); st.AsOf.Generation != 0 {
			c.Errorf("there is generation %d", st.AsOf.Generation)
		}
		c.holds(2, 0, 0)
		c.next(never).delivers("a 1", "b 1")
	})
}

// The horizon may be above rows that no feeder has read. The next feeder reads from loaded,
// not from the horizon that it finds.
func TestAFeederKilledBetweenHorizonAndSelectIsFollowedFromLoaded(t *testing.T) {
	killedAt(t, "feed/select", 1, func(c *cell) {
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if st := c.state(0); st.HorizonMS <= time.Now().UnixMilli() || st.Loaded != (task.Cursor{}) {
			c.Errorf("the horizon is %d and loaded %v, want one that is raised, and none", st.HorizonMS, st.Loaded)
		}
		c.holds(2, 0, 0)
		w := c.next(never)
		w.delivers("a 1", "b 1")
		w.scanned(2)
	})
}

// What was read died with its reader.
func TestAFeederKilledBetweenSelectAndAddHasMovedNothing(t *testing.T) {
	killedAt(t, "feed/add", 1, func(c *cell) {
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if st := c.state(0); st.Loaded != (task.Cursor{}) {
			c.Errorf("loaded is %v", st.Loaded)
		}
		c.holds(2, 0, 0)
		w := c.next(never)
		w.delivers("a 1", "b 1")
		w.scanned(2)
	})
}

// A page is in, the next one is not: the next feeder goes on between them, in the
// middle of a millisecond.
func TestAFeederKilledBetweenTwoPagesIsFollowedFromThere(t *testing.T) {
	killedAt(t, "feed/add:2", 1, func(c *cell) {
		const n, page = 1100, 1000
		ids, want := make([]string, n), make([]string, n)
		for i := range n {
			ids[i] = fmt.Sprintf("a%04d", i)
			want[i] = ids[i] + " 1"
		}
		c.rows(time.Now(), ids...)
		c.kill(idle)
		if st := c.state(0); st.Loaded.ID != ids[page-1] {
			c.Errorf("loaded is %v, want the page's last, %s", st.Loaded, ids[page-1])
		}
		c.holds(n, page, 0)
		w := c.next(never)
		w.delivers(want...)
		w.scanned(n - page)
	})
}

// The page is in one of two partitions: each catches up from its own loaded.
func TestAFeederKilledBetweenTwoPartitionsLosesNeither(t *testing.T) {
	killedAt(t, "feed/add:2", 2, func(c *cell) {
		var ids, want []string
		for p := range 2 {
			id := idIn(p)
			ids, want = append(ids, id), append(want, id+" 1")
		}
		c.rows(time.Now(), ids...)
		c.kill(idle)
		c.holds(2, 1, 0)
		c.next(never).delivers(want...)
	})
}

// idIn is the ID of a task in that one of two partitions.
func idIn(p int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("a", i); task.Partition(id, 2) == p {
			return id
		}
	}
}

// A page and loaded go in with one script, so nothing is left to do.
func TestAFeederKilledAfterItsAddHasLoaded(t *testing.T) {
	killedAt(t, "feed/end", 1, func(c *cell) {
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if st := c.state(0); st.Loaded.NextMS != st.HorizonMS {
			c.Errorf("loaded is %v, want the horizon, %d", st.Loaded, st.HorizonMS)
		}
		c.holds(2, 2, 0)
		w := c.next(never)
		w.delivers("a 1", "b 1")
		w.scanned(0)
	})
}

// soon has tasks fall due while the process that is to die begins a generation and
// waits for workers that register, however long it takes to begin.
func soon(c *cell) (want []string) {
	c.begun()
	c.kill(idle, func() {
		for i := range 4 {
			id := fmt.Sprint("a", i)
			c.rows(time.Now().Add(time.Duration(2*i+1)*time.Second), id)
			want = append(want, id+" 1")
		}
	})
	return want
}

// What falls due while a new generation waits is fed early, and if the feeder dies
// before it has, in turn.
func TestAFeederKilledBeforeItFeedsEarlyIsFollowedInTurn(t *testing.T) {
	killedAt(t, "early/select", 1, func(c *cell) {
		want := soon(c)
		c.holds(4, 0, 0)
		c.next(never).delivers(want...)
	})
}

func TestAFeederKilledBetweenEarlySelectAndAddIsFollowedInTurn(t *testing.T) {
	killedAt(t, "early/add", 1, func(c *cell) {
		want := soon(c)
		c.holds(4, 0, 0)
		c.next(never).delivers(want...)
	})
}

// What was fed early is read again in turn: it is a member then, waiting or
// claimed, and is not offered twice.
func TestWhatADeadFeederFedEarlyIsNotFedTwice(t *testing.T) {
	killedAt(t, "early/end", 1, func(c *cell) {
		want := soon(c)
		if st := c.state(0); st.Waiting == 0 || st.Loaded != (task.Cursor{}) {
			c.Fatalf("%d tasks were fed early and loaded is %v, want some, and none", st.Waiting, st.Loaded)
		}
		w := c.next(never, func(w *worker, _ *place) {
			w.hold = func(*triggerhook.Delivery) { // until it was read again
				c.until("the next feeder has loaded", func() bool { return c.state(0).Loaded.NextMS > 0 })
				<-time.After(300 * time.Millisecond)
			}
		})
		w.delivers(want...)
	})
}

// elsewhere stages a namespace whose generation is current on a server that is gone.
func (c *cell) elsewhere() {
	c.Helper()
	c.begun()
	text, err := task.Generation{Current: task.Place{Generation: 5, Server: "gone"}}.MarshalText()
	if err != nil {
		c.Fatal(err)
	}
	if ok, err := c.store.SwapRecord(c.Context(), task.GenerationName(0), "", string(text)); !ok || err != nil {
		c.Fatalf("SwapRecord: %t, %v", ok, err)
	}
}

// counting is what is recorded of the first partition.
func (c *cell) counting() task.Generation {
	c.Helper()
	all, err := c.store.Records(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	g, err := all.Generation(0)
	if err != nil {
		c.Fatal(err)
	}
	return g
}

// Nothing is recorded. The next feeder records a generation of its own.
func TestAFeederKilledBeforeItsGenerationIsCurrentIsReplaced(t *testing.T) {
	killedAt(t, "generation/record", 1, func(c *cell) {
		c.begun()
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if g := c.counting(); g != (task.Generation{}) {
			c.Errorf("recorded is %+v", g)
		}
		c.next(never).delivers("a 1", "b 1")
	})
}

// A generation is current that was never begun. The next feeder makes another one current, at once.
func TestAFeederKilledBeforeItBeginsTheCurrentGenerationIsReplaced(t *testing.T) {
	killedAt(t, "generation/begin", 1, func(c *cell) {
		c.begun()
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		dead := c.counting().Current
		if st := c.state(0); dead.Generation == 0 || st.AsOf.Generation != 0 || st.Server != dead.Server {
			c.Errorf("%+v counts, and the partition has %+v", dead, st)
		}
		c.next(never).delivers("a 1", "b 1")
		if is := c.counting(); is.Current.Generation == dead.Generation || is.Current.Server != dead.Server || is.Next != (task.Place{}) {
			c.Errorf("recorded is %+v after %+v, want another generation on that server", is, dead)
		}
	})
}

// The one before counts still, on a server that is gone. The next feeder announces.
func TestAFeederKilledBeforeItAnnouncesIsReplaced(t *testing.T) {
	killedAt(t, "generation/announce", 1, func(c *cell) {
		c.elsewhere()
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if g := c.counting(); g.Current.Server != "gone" || g.Next != (task.Place{}) {
			c.Errorf("recorded is %+v", g)
		}
		c.next(never).delivers("a 1", "b 1")
	})
}

// It is announced, and not current. The next feeder of the same server waits, and makes it current.
func TestAFeederKilledBeforeItMakesCurrentWhatItAnnouncedIsReplaced(t *testing.T) {
	killedAt(t, "generation/settle", 1, func(c *cell) {
		c.elsewhere()
		c.rows(time.Now(), "a", "b")
		c.kill(idle)
		if g := c.counting(); g.Current.Server != "gone" || g.Next.Server != c.state(0).Server {
			c.Errorf("recorded is %+v", g)
		}
		c.next(never).delivers("a 1", "b 1")
	})
}
