package triggerhook_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A task whose record Redis lost while it was in hand keeps the delay of its
// rollback, and the count of it.
func TestARollbackKeepsItsDelayThoughItsEntryIsLost(t *testing.T) {
	for _, p := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", p), func(t *testing.T) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), p)
			sch := s.scheduler(t, triggerhook.Options{AuditGrace: time.Second})
			run(t, sch)
			due := time.Now().Truncate(time.Millisecond)
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: due, Payload: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			d := next(t, sch)
			if n := s.redis.Del(t.Context(), s.redis.Keys(t.Context(), fmt.Sprintf("{%s:*}:task", s.store.Namespace())).Val()...).Val(); n != 1 {
				t.Fatalf("%d keys were deleted, want the one of records", n)
			}
			back := time.Now()
			const delay = 4 * time.Second // longer than the auditor takes to find a task that is nowhere
			if err := d.Rollback(t.Context(), delay); err != nil {
				t.Fatal(err)
			}
			d = next(t, sch)
			if took := time.Since(back); took < delay || d.Attempt != 2 || !d.Due.Equal(due) || string(d.Payload) != "x" {
				t.Errorf("offered again after %s as attempt %d, %+v", took, d.Attempt, d.Task)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is being executed is not offered to others because its record was lost: it is
// put back, and what is rolled back afterwards counts.
func TestALostEntryOfATaskInHandIsPutBack(t *testing.T) {
	for _, p := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", p), func(t *testing.T) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), p)
			o := triggerhook.Options{AuditGrace: time.Second, Lease: 2 * time.Second}
			sch, other := s.scheduler(t, o), s.scheduler(t, o)
			run(t, sch)
			if err := sch.Create(t.Context(), tasks(8, func(int) time.Time { return time.Now() })...); err != nil {
				t.Fatal(err)
			}
			var held []*triggerhook.Delivery
			for range 8 {
				held = append(held, next(t, sch))
			}
			if n := s.redis.Del(t.Context(), s.redis.Keys(t.Context(), fmt.Sprintf("{%s:*}:task", s.store.Namespace())).Val()...).Val(); n == 0 {
				t.Fatal("no key of records was there")
			}
			run(t, other)
			if l := drain(t, other, 8*time.Second); l.len() != 0 {
				t.Errorf("%d tasks were offered again while they were in hand", l.len())
			}
			for _, d := range held[1:] {
				if err := d.Context().Err(); err != nil {
					t.Errorf("the context of %s ended: %v", d.ID, context.Cause(d.Context()))
				}
				if err := d.Confirm(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := held[0].Rollback(t.Context(), 0); err != nil {
				t.Error(err)
			}
			if d := next(t, other); d.Attempt != 2 || d.ID != held[0].ID {
				t.Errorf("%s is offered as attempt %d, want %s as attempt 2", d.ID, d.Attempt, held[0].ID)
			} else if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Single keys are lost, as by an eviction: what they held fires all the same.
func TestLostKeysLoseNoTask(t *testing.T) {
	for _, lost := range []string{"waiting", "task", "lease", "batch:*", "gone:*", "meta"} {
		t.Run("mysql97+redis7/"+lost, func(t *testing.T) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 1)
			sch := s.scheduler(t, triggerhook.Options{AuditGrace: time.Second, Lease: time.Second})
			stop := run(t, sch)
			const n = 60
			all := tasks(n, func(i int) time.Time { return time.Now().Add(time.Duration(i/20) * 500 * time.Millisecond) })
			if err := sch.Create(t.Context(), all...); err != nil {
				t.Fatal(err)
			}
			inHand := next(t, sch)
			// more than the auditor asks for at once are claimed, one by one, by no worker that extends
			for i := range 12 {
				if _, err := s.set.Claim(t.Context(), 0, task.ClaimRequest{Token: fmt.Sprint("nobody", i), Limit: 1, Lease: time.Second}); err != nil {
					t.Fatal(err)
				}
			}
			keys := s.redis.Keys(t.Context(), fmt.Sprintf("{%s:0}:%s", s.store.Namespace(), lost)).Val()
			if len(keys) > 0 {
				s.redis.Del(t.Context(), keys...)
			} else if lost != "gone:*" {
				t.Fatalf("no key %s", lost)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := ledger{leasesRunOut: true}
			wg := l.consume(ctx, t, sch, 4)
			until(t, "all but the one in hand have fired", 40*time.Second, func() bool { return l.len() >= n-1 })
			_ = inHand.Confirm(t.Context()) // another worker may have it by now
			cancel()
			wg.Wait()
			until(t, "the reaper has ended each batch", 30*time.Second, func() bool {
				return s.redis.ZCard(t.Context(), fmt.Sprintf("{%s:0}:lease", s.store.Namespace())).Val() == 0
			})
			stop()
			if len(l.early) > 0 {
				t.Errorf("early: %v", l.early)
			}
		})
	}
}

// The hot set is full, and loses the members that wait in it. Tasks that are due sooner make its
// horizon retreat to their time: what was lost lies beyond it then.
func TestLostMembersOfAFullHotSetFire(t *testing.T) {
	t.Run("mysql97+redis7/p1", func(t *testing.T) {
		s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 1)
		const most = 10
		sch := s.scheduler(t, triggerhook.Options{AuditGrace: time.Second, HotTasks: most})
		stop := run(t, sch)
		until(t, "there is a generation", 10*time.Second, func() bool {
			st, err := s.set.State(t.Context(), 0)
			return err == nil && st.AsOf.Generation != 0
		})
		create := func(from, to int, due time.Time) {
			t.Helper()
			if err := sch.Create(t.Context(), tasks(to, func(int) time.Time { return due })[from:]...); err != nil {
				t.Fatal(err)
			}
		}
		create(0, 2*most, time.Now().Add(8*time.Second))
		until(t, "the hot set is full", 10*time.Second, func() bool {
			st, err := s.set.State(t.Context(), 0)
			return err == nil && st.Waiting >= most
		})
		s.redis.Del(t.Context(), fmt.Sprintf("{%s:0}:waiting", s.store.Namespace()))
		create(2*most, 4*most, time.Now().Add(3*time.Second))
		if l := drain(t, sch, 30*time.Second); l.len() != 4*most {
			t.Errorf("%d of %d tasks fired", l.len(), 4*most)
		}
		stop()
	})
}
