package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// told counts what a set is told of single tasks, and how far its horizon has been asked
// to be.
type told struct {
	hotset.Set
	removed, added atomic.Int64
	horizon        atomic.Int64 // ms beyond the time at which it was asked
}

func (c *told) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	c.removed.Add(int64(len(refs)))
	return c.Set.Remove(ctx, p, token, refs)
}

func (c *told) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	c.added.Add(int64(len(a.Entries)))
	return c.Set.Add(ctx, p, a)
}

func (c *told) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	c.horizon.Store(f.HorizonMS - time.Now().UnixMilli())
	return c.Set.Horizon(ctx, p, f)
}

// windowed runs test in a bubble, with a scheduler that works and a count of what it tells
// the hot set.
func windowed(t *testing.T, o triggerhook.Options, test func(t *testing.T, s stores, sch *triggerhook.Scheduler, c *told)) {
	bubbles(t, func(t *testing.T, s stores) {
		c := &told{Set: s.set}
		s.set = c
		sch := s.scheduler(t, o)
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		test(t, s, sch, c)
		stop()
	})
}

// A task that is due beyond every horizon is in no hot set: that is told nothing of it.
func TestTheHotSetIsToldNothingOfFarTasks(t *testing.T) {
	windowed(t, triggerhook.Options{}, func(t *testing.T, s stores, sch *triggerhook.Scheduler, c *told) {
		for _, x := range []struct {
			due            time.Duration
			reschedule     bool
			added, removed int64
		}{
			{time.Hour, false, 0, 0},
			{105 * time.Second, false, 0, 0},
			{95 * time.Second, false, 8, 8}, // Window is a minute, and others may know of it for a while
			{40 * time.Second, false, 8, 8},
			{time.Hour, true, 0, 24}, // a Reschedule removes the previous version, and so does Delete
		} {
			all := tasks(8, func(int) time.Time { return time.Now().Add(x.due) })
			c.added.Store(0)
			c.removed.Store(0)
			if err := sch.Create(t.Context(), all...); err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				if !x.reschedule {
					break
				}
				if err := sch.Reschedule(t.Context(), a.ID, a.Due.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			for _, a := range all {
				if err := sch.Delete(t.Context(), a.ID); err != nil {
					t.Errorf("Delete of what is due in %s: %v", x.due, err)
				}
			}
			if got, want := [2]int64{c.added.Load(), c.removed.Load()}, [2]int64{x.added, x.removed}; got != want {
				t.Errorf("due in %s, rescheduled %t: added and removed are %v, want %v", x.due, x.reschedule, got, want)
			}
			empty(t, s)
		}
	})
}

// A process whose Window is larger than any before uses it only once all others know.
func TestALargerWindowIsAnnouncedFirst(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		s.scheduler(t, triggerhook.Options{}) // whose Window is recorded
		c := &told{Set: s.set}
		s.set = c
		wide := s.scheduler(t, triggerhook.Options{Window: time.Hour})
		stop := run(t, wide)
		sleep(t, 60*time.Second)
		if got := time.Duration(c.horizon.Load()) * time.Millisecond; got != time.Minute {
			t.Errorf("60 s after it was announced the horizon is %s ahead, want a minute", got)
		}
		sleep(t, 20*time.Second)
		if got := time.Duration(c.horizon.Load()) * time.Millisecond; got != time.Hour {
			t.Errorf("80 s after it was announced the horizon is %s ahead, want an hour", got)
		}
		if w, err := windowOf(t, s.store); err != nil || w != (task.Window{EffectiveMS: 3_600_000, AnnouncedMS: 3_600_000}) {
			t.Errorf("recorded is %v, %v", w, err)
		}
		stop()
	})
}

// The window that another process has announced is effective within half a minute.
func TestWhatIsFarFollowsTheAnnouncedWindow(t *testing.T) {
	windowed(t, triggerhook.Options{}, func(t *testing.T, s stores, sch *triggerhook.Scheduler, c *told) {
		remove := func() int64 {
			c.removed.Store(0)
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(30 * time.Minute)}); err != nil {
				t.Fatal(err)
			}
			if err := sch.Delete(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			return c.removed.Load()
		}
		if n := remove(); n != 0 {
			t.Errorf("%d removals of a far task", n)
		}
		was, err := windowOf(t, s.store)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := swapWindow(t, s.store, was, task.Window{EffectiveMS: was.EffectiveMS, AnnouncedMS: 3_600_000}); !ok || err != nil {
			t.Fatalf("SwapWindow: %t, %v", ok, err)
		}
		sleep(t, 30*time.Second)
		if n := remove(); n != 1 {
			t.Errorf("%d removals of a task that is within the announced window, want 1", n)
		}
	})
}

// windowless is a store that does not tell the window.
type windowless struct {
	durable.Store
	fails atomic.Bool
}

func (w *windowless) Records(ctx context.Context) (task.Records, error) {
	if w.fails.Load() {
		return task.Records{}, fmt.Errorf("records: %w", task.ErrUnavailable)
	}
	return w.Store.Records(ctx)
}

func windowOf(t *testing.T, s durable.Store) (task.Window, error) {
	r, err := s.Records(t.Context())
	if err != nil {
		return task.Window{}, err
	}
	return r.Window()
}

func swapWindow(t *testing.T, s durable.Store, old, to task.Window) (bool, error) {
	before, _ := old.MarshalText()
	after, err := to.MarshalText()
	if err != nil {
		return false, err
	}
	return s.SwapRecord(t.Context(), task.RecordWindow, string(before), string(after))
}

// A process that has not read the window for half a minute relies on it no more: a Delete of
// a far task then has to tell the hot set, which it cannot do without the records.
func TestAnOldWindowIsNotUsed(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		w := &windowless{Store: s.store}
		c := &told{Set: s.set}
		s.store, s.set = w, c
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		for _, x := range []struct {
			fails bool
			sleep time.Duration // a worker with a store of its own reads each 5 s
			far   bool
		}{{false, 0, true}, {true, 24 * time.Second, true}, {true, 7 * time.Second, false}, {false, 7 * time.Second, true}} {
			w.fails.Store(x.fails)
			sleep(t, x.sleep)
			c.removed.Store(0)
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			err := sch.Delete(t.Context(), "a")
			if x.far && err != nil || !x.far && !errors.Is(err, triggerhook.ErrUnavailable) {
				t.Errorf("the window cannot be read for %s: %t; Delete of a far task: %v, want an error: %t", x.sleep, x.fails, err, !x.far)
			}
			if n := c.removed.Load(); n != 0 {
				t.Errorf("the window cannot be read for %s: %t; %d removals of a far task, want none", x.sleep, x.fails, n)
			}
		}
		stop()
	})
}

// A far task whose ID was another's, of which the hot set is still to be told: Delete does
// not return nil while that one may fire.
func TestAFarTaskIsNotDeletedBeforeAnOlderVersionIs(t *testing.T) {
	for name, store := range map[string]func(durable.Store) durable.Store{
		"read":   func(s durable.Store) durable.Store { return s },
		"unread": func(s durable.Store) durable.Store { return &unreading{Store: s} },
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				deaf := &deafSet{Set: s.set}
				s.store, s.set = store(s.store), deaf
				sch := s.scheduler(t, triggerhook.Options{})
				stop := run(t, sch)
				sleep(t, 5*time.Second)
				create := createA(t, sch)
				create(20 * time.Second)
				deaf.hear(false)
				for _, due := range []time.Duration{time.Hour, 2 * time.Hour} {
					if err := sch.Delete(t.Context(), "a"); !errors.Is(err, triggerhook.ErrUnavailable) {
						t.Errorf("Delete while the hot set is still to be told: %v, want ErrUnavailable", err)
					}
					create(due)
				}
				deaf.hear(true)
				sleep(t, time.Second)
				if err := sch.Delete(t.Context(), "a"); err != nil {
					t.Errorf("Delete: %v", err)
				}
				if l := drain(t, sch, time.Minute); l.len() > 0 {
					t.Errorf("%d deleted tasks fired", l.len())
				}
				stop()
				empty(t, s)
			})
		})
	}
}

// createA returns what creates the task a.
func createA(t *testing.T, sch *triggerhook.Scheduler) func(due time.Duration) {
	return func(due time.Duration) {
		t.Helper()
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(due)}); err != nil {
			t.Fatal(err)
		}
	}
}

// unreading is a store that reads nothing of what it may leave unread, as MySQL does with
// many at once. It may take long, and something may happen before it deletes.
type unreading struct {
	durable.Store
	before func()
	takes  time.Duration
}

func (u *unreading) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	if f := u.before; f != nil {
		u.before = nil
		f()
	}
	rows, err := u.Store.DeleteByID(ctx, ids, task.MaxDue)
	for i, r := range rows {
		if r.NextMS > aboveMS && r.PrevVer == 0 {
			rows[i] = task.Row{Ref: task.Ref{ID: r.ID}}
		}
	}
	<-time.After(u.takes)
	return rows, err
}

// What was deleted unread is in no hot set, or else Delete says that it may be.
func TestWhatIsDeletedUnreadIsFarOrNamed(t *testing.T) {
	for name, x := range map[string]struct {
		due, takes time.Duration
		announce   time.Duration // a window, by another process meanwhile
		removed    int64
		claimed    bool
	}{
		"far":                             {due: time.Hour},
		"far, but not by ten minutes":     {due: 11 * time.Minute},
		"near":                            {due: 95 * time.Second, removed: 2},
		"far, but it takes nine minutes":  {due: time.Hour, takes: 9 * time.Minute},
		"far, but it takes eleven":        {due: time.Hour, takes: 11 * time.Minute, claimed: true},
		"far, until a window is enlarged": {due: time.Hour, takes: 31 * time.Second, announce: 2 * time.Hour, claimed: true},
		"far, and a window grows little":  {due: time.Hour, takes: 31 * time.Second, announce: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				u, c := &unreading{Store: s.store}, &told{Set: s.set}
				s.store, s.set = u, c
				sch := s.scheduler(t, triggerhook.Options{})
				stop := run(t, sch)
				sleep(t, 5*time.Second)
				all := tasks(2, func(int) time.Time { return time.Now().Add(x.due) })
				if err := sch.Create(t.Context(), all...); err != nil {
					t.Fatal(err)
				}
				u.takes = x.takes
				u.before = func() {
					if x.announce == 0 {
						return
					}
					was, err := windowOf(t, s.store)
					if err != nil {
						t.Error(err)
					}
					to := task.Window{EffectiveMS: was.EffectiveMS, AnnouncedMS: x.announce.Milliseconds()}
					if ok, err := swapWindow(t, s.store, was, to); !ok || err != nil {
						t.Errorf("SwapWindow: %t, %v", ok, err)
					}
				}
				err := sch.Delete(t.Context(), all[0].ID, all[1].ID)
				var ide *triggerhook.IDError
				if x.claimed && (!errors.As(err, &ide) || len(ide.Claimed) != 2 || len(ide.NotFound) > 0) || !x.claimed && err != nil {
					t.Errorf("Delete: %v; to be named as claimed: %t", err, x.claimed)
				}
				if n := c.removed.Load(); n != x.removed {
					t.Errorf("%d removals, want %d", n, x.removed)
				}
				stop()
				empty(t, s)
			})
		})
	}
}

// A far task that is deleted unread while the removal of an older version of it fails: one
// delivery of that may still come.
func TestWhatIsDeletedUnreadMayHaveAnOlderVersion(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		u, deaf := &unreading{Store: s.store}, &deafSet{Set: s.set}
		s.store, s.set = u, deaf
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		create := createA(t, sch)
		create(20 * time.Second)
		u.before = func() {
			deaf.hear(false)
			if err := sch.Delete(t.Context(), "a"); !errors.Is(err, triggerhook.ErrUnavailable) {
				t.Errorf("Delete of a near task while the hot set is away: %v, want ErrUnavailable", err)
			}
			create(time.Hour)
		}
		if err := sch.Delete(t.Context(), "a"); !errors.Is(err, triggerhook.ErrClaimed) {
			t.Errorf("Delete: %v, want ErrClaimed", err)
		}
		deaf.hear(true)
		sleep(t, time.Second)
		stop()
		empty(t, s)
	})
}

// No process lives for as long as a larger Window waits until it is used: it is used
// nevertheless, and not before others know of it.
func TestALargerWindowBecomesEffectiveThoughWorkersRestart(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		s.scheduler(t, triggerhook.Options{}) // whose Window is recorded
		start := time.Now()
		for {
			stop := run(t, s.scheduler(t, triggerhook.Options{Window: time.Hour}))
			sleep(t, 2*time.Second)
			stop()
			w, err := windowOf(t, s.store)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); w.EffectiveMS == w.AnnouncedMS {
				if took < 70*time.Second || w != (task.Window{EffectiveMS: 3_600_000, AnnouncedMS: 3_600_000}) {
					t.Errorf("recorded is %+v %s after it was announced, want at least 70 s", w, took)
				}
				return
			} else if took > 200*time.Second {
				t.Fatalf("recorded is %+v after %s", w, took)
			}
		}
	})
}

// What two feeders have waited is not added up: they waited at the same time.
func TestFeedersThatWaitAtOnceWaitNoShorter(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		s.scheduler(t, triggerhook.Options{})
		for range 3 { // feeders each, for they do not hear of the others' elections
			own := s
			own.set = &deposed{s.set}
			stop := run(t, own.scheduler(t, triggerhook.Options{Window: time.Hour}))
			defer stop()
		}
		sleep(t, 60*time.Second)
		w, err := windowOf(t, s.store)
		if err != nil || w.EffectiveMS != 60_000 || w.WaitedMS < 55_000 || w.WaitedMS > 60_000 {
			t.Errorf("60 s after it was announced recorded is %+v, %v; want 55 to 60 s waited, and nothing settled", w, err)
		}
		sleep(t, 20*time.Second)
		if w, err := windowOf(t, s.store); err != nil || w.EffectiveMS != 3_600_000 {
			t.Errorf("80 s after it was announced recorded is %+v, %v", w, err)
		}
	})
}

// deposed is a set that lets every process win its elections.
type deposed struct{ hotset.Set }

func (d *deposed) Elect(_ context.Context, _ string, _ time.Duration, roles ...task.Role) ([]task.Term, error) {
	terms := make([]task.Term, len(roles))
	for i := range terms {
		terms[i] = task.Term{Held: true, Epoch: 1}
	}
	return terms, nil
}
