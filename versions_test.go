package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// What Delete promises it promises of a task, not of the version that its row has.

// claimed makes a task that is due, and has a worker claim it that has not handed it out.
func claimed(t *testing.T, s stores, sch *triggerhook.Scheduler, id string) task.Ref {
	t.Helper()
	if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: time.Now()}); err != nil {
		t.Fatal(err)
	}
	p := task.Partition(id, s.set.Config().Partitions)
	var b task.Batch
	until(t, "the task is claimed", 10*time.Second, func() (ok bool) {
		var err error
		b, err = s.set.Claim(t.Context(), p, task.ClaimRequest{Token: "worker of " + id, Limit: 1, Lease: time.Second})
		return err == nil && len(b.Claims) == 1
	})
	return b.Claims[0].Ref
}

func wantClaimed(t *testing.T, sch *triggerhook.Scheduler, id string) {
	t.Helper()
	if err := sch.Delete(t.Context(), id); !errors.Is(err, triggerhook.ErrClaimed) {
		t.Errorf("Delete of %q: %v, want ErrClaimed", id, err)
	}
}

// A worker has claimed the task, and may hand it out though it was rescheduled since.
func TestDeleteKnowsOfARescheduledTaskInHand(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		for _, times := range []int{1, 2} {
			id := fmt.Sprint("rescheduled ", times)
			claimed(t, s, sch, id)
			for i := range times {
				if err := sch.Reschedule(t.Context(), id, time.Now().Add(time.Duration(i+1)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			wantClaimed(t, sch, id)
		}
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := sch.Reschedule(t.Context(), "a", time.Now().Add(2*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if err := sch.Delete(t.Context(), "a"); err != nil {
			t.Errorf("Delete of a task that no worker has claimed: %v", err)
		}
		stop()
		empty(t, s)
	})
}

// The row is gone, the reaper takes the member out, and only then the deleter asks.
// The holder may have got its lease back from the hot set just before.
func TestTheReaperTellsDeleteOfWhatItRemoved(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		ref := claimed(t, s, sch, "a")
		if _, err := s.store.Delete(t.Context(), []task.Ref{ref}); err != nil {
			t.Fatal(err)
		}
		p := task.Partition("a", s.set.Config().Partitions)
		until(t, "the member is reaped", time.Minute, func() bool {
			found, err := s.set.Find(t.Context(), p, []task.Ref{ref})
			return err == nil && found[0].Outcome == task.FindAbsent
		})
		if got, err := s.set.Remove(t.Context(), p, "", []task.Ref{ref}); err != nil || got.Outcomes[0] != task.RemoveClaimed {
			t.Errorf("Remove after the reaper's: %+v, %v, want Claimed", got, err)
		}
		stop()
	})
}

// For one lease after Redis has lost its data no process can know what was claimed before.
func TestDeleteAfterALossOfDataSaysWhatMayBeInHand(t *testing.T) {
	for _, p := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", p), func(t *testing.T) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), p)
			const (
				lease = 5 * time.Second
				calls = time.Second // Delete reckons with the time that its own calls take
			)
			sch := s.scheduler(t, triggerhook.Options{Lease: lease})
			run(t, sch)
			old := func() bool {
				for p := range p {
					st, err := s.set.State(t.Context(), p)
					if err != nil || st.AsOf.Generation == 0 || st.AsOf.TimeUS/1000 <= st.StartMS+(lease+calls).Milliseconds() {
						return false
					}
				}
				return true
			}
			until(t, "the hot set is old", 20*time.Second, old)
			for _, id := range []string{"far 1", "far 2", "moved 1", "moved 2"} {
				if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: time.Now().Add(time.Hour)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range []string{"moved 1", "moved 2"} {
				if err := sch.Reschedule(t.Context(), id, time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			for _, id := range []string{"due 1", "due 2", "due 3"} {
				claimed(t, s, sch, id)
			}
			s.redis.Del(t.Context(), s.redis.Keys(t.Context(), fmt.Sprintf("{%s:*", s.store.Namespace())).Val()...)
			wantClaimed(t, sch, "due 1")
			wantClaimed(t, sch, "moved 1")
			if err := sch.Delete(t.Context(), "far 1"); err != nil {
				t.Errorf("Delete of what is due in an hour: %v", err)
			}
			until(t, "there is a generation", 20*time.Second, func() bool {
				for p := range p {
					if st, err := s.set.State(t.Context(), p); err != nil || st.AsOf.Generation == 0 {
						return false
					}
				}
				return true
			})
			wantClaimed(t, sch, "due 2")
			until(t, "the hot set is old again", 20*time.Second, old)
			for _, id := range []string{"due 3", "moved 2", "far 2"} {
				if err := sch.Delete(t.Context(), id); err != nil {
					t.Errorf("Delete of %q a lease after the loss: %v", id, err)
				}
			}
		})
	}
}

// heldRemoval holds the first removal without a token back until it is let go.
type heldRemoval struct {
	hotset.Set
	once  sync.Once
	holds chan struct{} // closed when it is held
	letGo chan struct{}
}

func (h *heldRemoval) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if token == "" {
		h.once.Do(func() {
			close(h.holds)
			<-h.letGo
		})
	}
	return h.Set.Remove(ctx, p, token, refs)
}

// confirmDeleted confirms a task that is in hand, while a Delete of it waits for its removal, which
// holds tells of. It returns what that Delete will answer.
func confirmDeleted(t *testing.T, s stores, holds <-chan struct{}) (deleted <-chan error) {
	t.Helper()
	sch := s.scheduler(t, triggerhook.Options{})
	run(t, sch)
	if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now()}); err != nil {
		t.Fatal(err)
	}
	d := next(t, sch)
	answer := make(chan error, 1)
	go func() { answer <- sch.Delete(t.Context(), "a") }()
	<-holds
	if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
		t.Errorf("Confirm of what was deleted: %v, want ErrGone", err)
	}
	return answer
}

// A Delete whose removal is under way tells of a task that a handler had, though that has
// confirmed it meanwhile, and its member is gone from the hot set.
func TestAConfirmThatOvertakesADeleteIsTold(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		held := &heldRemoval{Set: s.set, holds: make(chan struct{}), letGo: make(chan struct{})}
		s.set = held
		deleted := confirmDeleted(t, s, held.holds)
		close(held.letGo)
		if err := <-deleted; !errors.Is(err, triggerhook.ErrClaimed) {
			t.Errorf("Delete of what a handler had: %v, want ErrClaimed", err)
		}
	})
}

// deafRemoval holds the first removal without a token back until it is let go. The others
// fail for a while. (A sync.Once would hold its mutex meanwhile, and stop a bubble's time.)
type deafRemoval struct {
	hotset.Set
	holds, letGo chan struct{}
	first, hears atomic.Bool
	failed       atomic.Int32
}

func (d *deafRemoval) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	switch {
	case token != "":
	case !d.first.Swap(true):
		close(d.holds)
		<-d.letGo
	case !d.hears.Load():
		d.failed.Add(1)
		return task.RemoveResult{}, triggerhook.ErrUnavailable
	}
	return d.Set.Remove(ctx, p, token, refs)
}

// The same if the Confirm cannot tell the hot set at first: what it could not remove stays until
// it can, so that the Delete is told.
func TestAConfirmThatIsNotHeardHidesNothingFromADelete(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		deaf := &deafRemoval{Set: s.set, holds: make(chan struct{}), letGo: make(chan struct{})}
		s.set = deaf
		deleted := confirmDeleted(t, s, deaf.holds)
		claimed := func() int64 {
			st, err := s.set.State(t.Context(), task.Partition("a", s.set.Config().Partitions))
			if err != nil {
				t.Fatal(err)
			}
			return st.Claimed
		}
		sleep(t, time.Second)
		if n, failed := claimed(), deaf.failed.Load(); n != 1 || failed < 3 {
			t.Errorf("after %d removals that failed %d members are claimed; want one, whose removal is tried again", failed, n)
		}
		deaf.hears.Store(true)
		sleep(t, time.Second)
		if n := claimed(); n != 0 {
			t.Errorf("%d members are claimed, want none: the repeated removal has landed", n)
		}
		close(deaf.letGo)
		if err := <-deleted; !errors.Is(err, triggerhook.ErrClaimed) {
			t.Errorf("Delete of what a handler had: %v, want ErrClaimed", err)
		}
	})
}

// slowDeleteByID is a store whose deletions by ID answer late.
type slowDeleteByID struct {
	durable.Store
	by time.Duration
}

func (s *slowDeleteByID) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	rows, err := s.Store.DeleteByID(ctx, ids, aboveMS)
	late := time.NewTimer(s.by)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
	}
	return rows, err
}

// What tells that a worker had a task is forgotten some seconds after its removal. A Delete
// that takes longer than that does not go by it.
func TestADeleteThatTakesLongSaysWhatMayHaveBeenInHand(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		slow := &slowDeleteByID{Store: s.store}
		s.store = slow
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		sleep(t, time.Minute)
		for _, c := range []struct {
			by, due time.Duration
			want    error
		}{
			{0, -time.Second, nil},
			{9500 * time.Millisecond, -time.Second, triggerhook.ErrClaimed},
			{9500 * time.Millisecond, time.Minute, nil},
		} {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(c.due)}); err != nil {
				t.Fatal(err)
			}
			slow.by = c.by
			if err := sch.Delete(t.Context(), "a"); !errors.Is(err, c.want) {
				t.Errorf("Delete that took %s of what was due in %s: %v, want %v", c.by, c.due, err, c.want)
			}
			sleep(t, time.Minute)
		}
	})
}

// bornSet is a set whose generation is that old when it is asked.
type bornSet struct {
	hotset.Set
	age time.Duration
}

func (b *bornSet) State(ctx context.Context, p int) (task.State, error) {
	st, err := b.Set.State(ctx, p)
	st.StartMS = st.AsOf.TimeUS/1000 - b.age.Milliseconds()
	return st, err
}

// A generation that is older than a Lease may have begun since the row was deleted: what a
// worker had then it may have confirmed before.
func TestADeleteReckonsFromBeforeItsRow(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		slow, born := &slowDeleteByID{Store: s.store}, &bornSet{Set: s.set}
		s.store, s.set = slow, born
		sch := s.scheduler(t, triggerhook.Options{Lease: 2 * time.Second})
		run(t, sch)
		sleep(t, 5*time.Second)
		for _, c := range []struct {
			age, by time.Duration
			want    error
		}{
			{time.Second, 0, triggerhook.ErrClaimed},
			{3 * time.Second, 0, nil},
			{3 * time.Second, 4 * time.Second, triggerhook.ErrClaimed},
			{10 * time.Second, 4 * time.Second, nil},
		} {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(-time.Hour)}); err != nil {
				t.Fatal(err)
			}
			slow.by, born.age = c.by, c.age
			if err := sch.Delete(t.Context(), "a"); !errors.Is(err, c.want) {
				t.Errorf("Delete that took %s, a generation %s old: %v, want %v", c.by, c.age, err, c.want)
			}
			sleep(t, time.Minute)
		}
	})
}
