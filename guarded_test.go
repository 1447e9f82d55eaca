package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// deafSet hears neither removals nor adds while it is told so.
type deafSet struct {
	hotset.Set
	mu   sync.Mutex
	deaf bool
}

func (d *deafSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if d.isDeaf() {
		return task.RemoveResult{}, fmt.Errorf("remove: %w", task.ErrUnavailable)
	}
	return d.Set.Remove(ctx, p, token, refs)
}

func (d *deafSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, d.Remove, p, held)
}

// removeEach is RemoveHeld for a set of a test that stands in for Remove.
func removeEach(ctx context.Context, remove func(context.Context, int, string, []task.Ref) (task.RemoveResult, error), p int, held []task.Held) error {
	var errs []error
	for _, h := range held {
		_, err := remove(ctx, p, h.Token, h.Refs)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (d *deafSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	if d.isDeaf() {
		return nil, fmt.Errorf("add: %w", task.ErrUnavailable)
	}
	return d.Set.Add(ctx, p, a)
}

func (d *deafSet) isDeaf() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deaf
}

func (d *deafSet) hear(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = !yes
}

// A Delete whose removals do not reach the hot set says so, and they are tried
// again until they do, in each partition.
func TestRemovalsAreTriedAgainUntilTheySucceed(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		deaf := &deafSet{Set: s.set}
		s.set = deaf
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		far := time.Now().Add(20 * time.Second)
		until(t, "there is a generation", 10*time.Second, func() bool {
			st, err := s.set.State(t.Context(), 0)
			return err == nil && st.AsOf.Generation != 0
		})
		all := tasks(40, func(int) time.Time { return far })
		if err := errors.Join(sch.Create(t.Context(), all...), sch.Flush(t.Context())); err != nil { // adds linger
			t.Fatal(err)
		}
		var ids []string
		for _, x := range all {
			ids = append(ids, x.ID)
		}
		deaf.hear(false)
		if err := sch.Delete(t.Context(), ids...); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete with a deaf hot set: %v, want ErrUnavailable", err)
		}
		deaf.hear(true)
		empty(t, s)
		stop()
	})
}

// closedSet is a set whose client was closed, while it is told so.
type closedSet struct {
	hotset.Set
	closed atomic.Bool
	n      atomic.Int64 // removals asked for since
}

func (c *closedSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if c.closed.Load() {
		c.n.Add(1)
		return task.RemoveResult{}, fmt.Errorf("remove: %w", task.ErrClosed)
	}
	return c.Set.Remove(ctx, p, token, refs)
}

func (c *closedSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, c.Remove, p, held)
}

// A removal that waits ends with its client, because no other client can complete it.
func TestRemovalsEndWithTheirClient(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		set := &closedSet{Set: s.set}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		if err := sch.Create(t.Context(), tasks(8, func(int) time.Time { return time.Now().Add(20 * time.Second) })...); err != nil {
			t.Fatal(err)
		}
		set.closed.Store(true)
		if err := sch.Delete(t.Context(), "task-00000", "task-00001"); !errors.Is(err, triggerhook.ErrClosed) {
			t.Errorf("Delete with a closed client: %v, want ErrClosed", err)
		}
		sleep(t, 5*time.Second)
		n := set.n.Load()
		sleep(t, time.Minute)
		if after := set.n.Load(); n == 0 || after != n {
			t.Errorf("%d removals were asked for, and %d more a minute later", n, after-n)
		}
	})
}

// A hot set that does not answer for a moment makes tasks a second late, not as
// late as the auditor's grace; also those created while it is left to rest.
func TestTasksCreatedInAShortOutageAreAddedAfterIt(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("bolt+local/p%d", partitions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := embedded(t, partitions)
				deaf := &deafSet{Set: s.set}
				s.set = deaf
				sch := s.scheduler(t, triggerhook.Options{AuditGrace: time.Hour})
				stop := run(t, sch)
				if err := sch.Create(t.Context(), &triggerhook.Task{ID: "first", Due: time.Now()}); err != nil {
					t.Fatal(err)
				}
				if err := next(t, sch).Confirm(t.Context()); err != nil {
					t.Fatal(err)
				}
				deaf.hear(false)
				due := time.Now().Add(300 * time.Millisecond)
				for i, x := range tasks(20, func(int) time.Time { return due }) {
					if i == 10 {
						sleep(t, 200*time.Millisecond)
						deaf.hear(true)
					}
					if err := sch.Create(t.Context(), x); err != nil {
						t.Fatal(err)
					}
				}
				if err := sch.Delete(t.Context(), "task-00003"); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var l ledger
				l.consume(ctx, t, sch, 2).Wait()
				if l.len() != 19 || l.times["task-00003"] > 0 || l.worst > 1500*time.Millisecond {
					t.Errorf("%d tasks fired, at worst %s late, the deleted one %d times; want 19 within 1.5 s, and 0", l.len(), l.worst, l.times["task-00003"])
				}
				stop()
			})
		})
	}
}

// vagueStore moves and deletes rows, and then does not say so.
type vagueStore struct {
	durable.Store
	vague bool
}

func (v *vagueStore) Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	moved, err := v.Store.Move(ctx, ref, to)
	if v.vague {
		return false, fmt.Errorf("move: %w", task.ErrUnavailable)
	}
	return moved, err
}

func (v *vagueStore) MoveMany(ctx context.Context, moves []task.Move) ([]bool, error) {
	moved, err := v.Store.MoveMany(ctx, moves)
	if v.vague {
		return nil, fmt.Errorf("move: %w", task.ErrUnavailable)
	}
	return moved, err
}

func (v *vagueStore) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	rows, err := v.Store.DeleteByID(ctx, ids, aboveMS)
	if v.vague {
		return nil, unsure(rows)
	}
	return rows, err
}

// unsure is the error of a DeleteByID that may have dropped rows.
func unsure(rows []task.Row) error {
	return &task.UnsureError{Refs: task.Versions(rows), Err: fmt.Errorf("delete by id: %w", task.ErrUnavailable)}
}

// awayStore drops nothing, and answers as vagueStore does.
type awayStore struct{ durable.Store }

func (a awayStore) DeleteByID(ctx context.Context, ids []string, _ int64) ([]task.Row, error) {
	rows, err := a.Get(ctx, ids)
	return nil, errors.Join(unsure(rows), err)
}

// lateDelete answers as vagueStore does, and drops some seconds after that.
type lateDelete struct{ durable.Store }

func (l lateDelete) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	ids = slices.Clone(ids)
	go func() {
		<-time.After(3 * time.Second)
		_, _ = l.Store.DeleteByID(context.Background(), ids, aboveMS) // what the test looks for
	}()
	return awayStore(l).DeleteByID(ctx, ids, aboveMS)
}

// A Delete whose outcome is unknown: a task that has lost its row does not fire, and a task that has its row does.
func TestADeleteOfUnknownOutcomeRemovesWhatHasNoRow(t *testing.T) {
	for name, c := range map[string]struct {
		store func(durable.Store) durable.Store
		fire  int
	}{
		"deleted":       {func(s durable.Store) durable.Store { return &vagueStore{s, true} }, 0},
		"deleted later": {func(s durable.Store) durable.Store { return lateDelete{s} }, 0},
		"not deleted":   {func(s durable.Store) durable.Store { return awayStore{s} }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				sch := s.scheduler(t, triggerhook.Options{})
				stop := run(t, sch)
				sleep(t, 5*time.Second)
				due := time.Now().Add(20 * time.Second)
				all := tasks(20, func(int) time.Time { return due })
				if err := sch.Create(t.Context(), all...); err != nil {
					t.Fatal(err)
				}
				vague := s
				vague.store = c.store(s.store)
				var ids []string
				for _, x := range all {
					ids = append(ids, x.ID)
				}
				if err := vague.scheduler(t, triggerhook.Options{}).Delete(t.Context(), ids...); !errors.Is(err, triggerhook.ErrUnavailable) {
					t.Errorf("Delete: %v, want ErrUnavailable", err)
				}
				if l := drain(t, sch, time.Minute); l.len() != c.fire {
					t.Errorf("%d of 20 tasks fired, want %d", l.len(), c.fire)
				}
				stop()
				empty(t, s)
			})
		})
	}
}

// A Reschedule that failed halfway leaves the old version in the hot set for a
// while. A Delete or Reschedule that returns nil removes that version too.
func TestNilMeansThatNoOlderVersionFires(t *testing.T) {
	far := time.Now().Add(time.Hour)
	acts := map[string]func(t *testing.T, sch *triggerhook.Scheduler) error{
		"delete":     func(t *testing.T, sch *triggerhook.Scheduler) error { return sch.Delete(t.Context(), "a") },
		"reschedule": func(t *testing.T, sch *triggerhook.Scheduler) error { return sch.Reschedule(t.Context(), "a", far) },
		"wait":       func(t *testing.T, sch *triggerhook.Scheduler) error { sleep(t, time.Second); return nil },
	}
	for name, act := range acts {
		for _, half := range []string{"hotset", "answer"} {
			t.Run("bolt+local/"+name+"/"+half, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := embedded(t, 1)
					deaf, vague := &deafSet{Set: s.set}, &vagueStore{Store: s.store}
					s.set, s.store = deaf, vague
					sch := s.scheduler(t, triggerhook.Options{})
					stop := run(t, sch)
					defer stop()
					sleep(t, 5*time.Second)
					due := 100 * time.Millisecond
					if name == "wait" {
						due = 800 * time.Millisecond
					}
					if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(due)}); err != nil {
						t.Fatal(err)
					}
					deaf.hear(half != "hotset")
					vague.vague = half == "answer"
					if err := sch.Reschedule(t.Context(), "a", far); !errors.Is(err, triggerhook.ErrUnavailable) {
						t.Fatalf("Reschedule, cut off: %v, want ErrUnavailable", err)
					}
					synctest.Wait() // what is tried again at once was tried
					deaf.hear(true)
					vague.vague = false
					if err := act(t, sch); err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					if d, err := sch.Consume(ctx); err == nil {
						t.Errorf("it fires for %s", d.Due)
					}
				})
			})
		}
	}
}
