package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// A call that is larger than the largest stores and deletes nothing, and says what it had and
// what it may have.
func TestTooLargeCallsAreRefused(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{MaxPayload: 1 << 20})
		due := time.Now().Add(time.Hour)
		many := tasks(100_001, func(int) time.Time { return due })
		ids := make([]string, len(many))
		for i := range many {
			ids[i] = many[i].ID
		}
		heavy := tasks(65, func(int) time.Time { return due })
		for i := range heavy {
			heavy[i].Payload = make([]byte, 1<<20)
		}
		for _, c := range []struct {
			what string
			err  error
			says string
		}{
			{"Create of 100,001 tasks", sch.Create(t.Context(), many...), "100001 tasks"},
			{"Create of 65 MiB", sch.Create(t.Context(), heavy...), "68158"},
			{"Delete of 100,001 tasks", sch.Delete(t.Context(), ids...), "100001 tasks"},
		} {
			if !errors.Is(c.err, triggerhook.ErrTooLarge) || !strings.Contains(fmt.Sprint(c.err), c.says) || !strings.Contains(fmt.Sprint(c.err), "100000") {
				t.Errorf("%s: %v, want ErrTooLarge, what it had, and the limit", c.what, c.err)
			}
		}
		empty(t, s)
	})
}

// The largest call is created, is in the hot set, and is deleted from both stores.
func TestTheLargestCallIsCreatedAndDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 4)
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		due := time.Now().Add(30 * time.Second)
		all := tasks(100_000, func(int) time.Time { return due })
		ids := make([]string, len(all))
		for i := range all {
			ids[i] = all[i].ID
		}
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatalf("Create: %v", err)
		}
		st, err := sch.Stats(t.Context())
		if err != nil || st.Namespace.Tasks != 100_000 || st.Namespace.Preloaded != 100_000 {
			t.Errorf("after Create: %+v, %v; want 100,000 tasks, all of them preloaded", st.Namespace, err)
		}
		if err := sch.Delete(t.Context(), ids...); err != nil {
			t.Errorf("Delete: %v", err)
		}
		empty(t, s)
		stop()
	})
}

// failingStore fails from its nth DeleteByID on, and counts the IDs that it is asked to drop.
type failingStore struct {
	durable.Store
	good  atomic.Int64
	asked atomic.Int64
}

func (f *failingStore) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	f.asked.Add(int64(len(ids)))
	if f.good.Add(-1) < 0 {
		return nil, fmt.Errorf("delete by id: %w", task.ErrUnavailable)
	}
	return f.Store.DeleteByID(ctx, ids, aboveMS)
}

// A Delete of many that fails in the middle says how much it has done: that is gone from both
// stores and does not fire. Repeated, it deletes the rest.
func TestADeleteOfManyGoesOnWhereItFailed(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		failing := &failingStore{Store: s.store}
		s.store = failing
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		due := time.Now().Add(20 * time.Second)
		all := tasks(5000, func(int) time.Time { return due })
		ids := make([]string, len(all))
		for i := range all {
			ids[i] = all[i].ID
		}
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		failing.good.Store(2)
		err := sch.Delete(t.Context(), ids...)
		if !errors.Is(err, triggerhook.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "the first 2000 of 5000 tasks are deleted") {
			t.Errorf("a Delete whose third part failed: %v", err)
		}
		if n := failing.asked.Load(); n != 3000 {
			t.Errorf("it tried to delete %d tasks, want none after the part that failed", n)
		}
		st, err := sch.Stats(t.Context())
		if err != nil || st.Namespace.Tasks != 3000 || st.Namespace.Preloaded != 3000 {
			t.Errorf("after it: %+v, %v; want 3000 tasks in both stores", st.Namespace, err)
		}
		failing.good.Store(100)
		err = sch.Delete(t.Context(), ids...)
		var of *triggerhook.IDError
		if !errors.As(err, &of) || len(of.NotFound) != 2000 || len(of.Claimed) != 0 {
			t.Errorf("repeated: %v, want the 2000 of before, not found", err)
		}
		empty(t, s)
		stop()
	})
}

// silentSet takes removals and does not answer, while it is deaf.
type silentSet struct{ deafSet }

func (s *silentSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if s.isDeaf() {
		<-ctx.Done()
		return task.RemoveResult{}, ctx.Err()
	}
	return s.Set.Remove(ctx, p, token, refs)
}

func (s *silentSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, s.Remove, p, held)
}

// A hot set that does not answer while many tasks are deleted is waited for once in each
// partition: all rows are deleted, and it is told of all of them later.
func TestADeleteOfManyWaitsOnceForTheHotSet(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		deaf := &silentSet{deafSet{Set: s.set}}
		s.set = deaf
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		due := time.Now().Add(20 * time.Second)
		all := tasks(5000, func(int) time.Time { return due })
		ids := make([]string, len(all))
		for i := range all {
			ids[i] = all[i].ID
		}
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		deaf.hear(false)
		began := time.Now()
		err := sch.Delete(t.Context(), ids...)
		if took := time.Since(began); err == nil || took > 25*time.Second { // by the clock of the bubble: 5 s at most for each of up to 4 partitions
			t.Errorf("Delete with a silent hot set took %s, %v; want an error, and one wait a partition", took, err)
		}
		if n, _, err := s.store.Count(t.Context(), 10); n != 0 || err != nil {
			t.Errorf("%d rows stand, %v; want none", n, err)
		}
		deaf.hear(true)
		sleep(t, time.Minute) // those that wait for an answer end first
		empty(t, s)
		stop()
	})
}

// Once the context of a Delete of many has ended, what was begun is brought to its end, and no
// more is begun.
func TestADeleteOfManyEndsWithItsContext(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		ctx, cancel := context.WithCancel(t.Context())
		s.store = endingStore{s.store, cancel}
		sch := s.scheduler(t, triggerhook.Options{})
		all := tasks(5000, func(int) time.Time { return time.Now().Add(time.Hour) })
		ids := make([]string, len(all))
		for i := range all {
			ids[i] = all[i].ID
		}
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		if err := sch.Delete(ctx, ids...); !errors.Is(err, context.Canceled) {
			t.Errorf("Delete whose context ended: %v", err)
		}
		sleep(t, time.Minute)
		if n, _, err := s.store.Count(t.Context(), 5000); n != 4000 || err != nil {
			t.Errorf("%d rows stand, %v; want 4000", n, err)
		}
	})
}

// endingStore ends a context when it has dropped something.
type endingStore struct {
	durable.Store
	cancel func()
}

func (e endingStore) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	defer e.cancel()
	return e.Store.DeleteByID(ctx, ids, aboveMS)
}

// advanceStore notes in which order it is advanced and audited, and by what time.
type advanceStore struct {
	durable.Store
	mu    sync.Mutex
	calls []string
	nows  []int64
}

func (a *advanceStore) Advance(ctx context.Context, nowMS int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.nows = append(a.calls, "advance"), append(a.nows, nowMS-time.Now().UnixMilli())
	return a.Store.Advance(ctx, nowMS)
}

func (a *advanceStore) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	if inline == 0 && after == (task.Cursor{}) { // as an audit begins
		a.mu.Lock()
		a.calls = append(a.calls, "audit")
		a.mu.Unlock()
	}
	return a.Store.Scan(ctx, after, belowMS, limit, inline)
}

// An audit advances the low bound before it reads, by the hot set's time.
func TestEachAuditAdvancesTheLowBoundFirst(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		noted := &advanceStore{Store: s.store}
		s.store = noted
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 40*time.Second)
		stop()
		for len(noted.calls) > 0 && noted.calls[0] == "audit" { // before there was a generation
			noted.calls = noted.calls[1:]
		}
		if len(noted.calls) < 8 {
			t.Errorf("in 40 s it did %q", noted.calls)
		}
		for i, call := range noted.calls {
			if want := []string{"advance", "audit"}[i%2]; call != want {
				t.Fatalf("call %d of %q is %s, want %s", i, noted.calls, call, want)
			}
		}
		for _, ago := range noted.nows {
			if ago < -5000 || ago > 0 {
				t.Errorf("it advances by a time that is %d ms from now", ago)
			}
		}
	})
}
