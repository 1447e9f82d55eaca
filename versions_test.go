package triggerhook_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
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
		b, err = s.set.Claim(t.Context(), p, "worker of "+id, 1, time.Second)
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
			t.Errorf("Delete of a task that nobody has claimed: %v", err)
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
			return err == nil && found[0].Answer == task.Absent
		})
		if got, err := s.set.Remove(t.Context(), p, "", []task.Ref{ref}); err != nil || got.Answers[0] != task.Claimed {
			t.Errorf("Remove after the reaper's: %+v, %v, want Claimed", got, err)
		}
		stop()
	})
}

// For one lease after Redis has lost its data nobody can tell what was claimed before.
func TestDeleteAfterALossOfDataSaysWhatMayBeInHand(t *testing.T) {
	for _, p := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", p), func(t *testing.T) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), p)
			const lease = 5 * time.Second
			sch := s.scheduler(t, triggerhook.Options{Lease: lease})
			run(t, sch)
			old := func() bool {
				for p := range p {
					st, err := s.set.State(t.Context(), p)
					if err != nil || st.AsOf.Generation == 0 || st.AsOf.TimeUS/1000 <= st.StartMS+lease.Milliseconds() {
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
