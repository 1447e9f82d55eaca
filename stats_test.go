package triggerhook_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
)

// slowCount is a store that counts only once it is let.
type slowCount struct {
	durable.Store
	let chan struct{}
}

func (s slowCount) Count(ctx context.Context, limit int) (int64, bool, error) {
	select {
	case <-s.let:
		return s.Store.Count(ctx, limit)
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
}

// A caller that asks for figures waits no longer than its context lasts, also behind another that
// asks; and what becomes of one is nothing to the next.
func TestStatsDoNotWaitForOtherCalls(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		let := make(chan struct{})
		s.store = slowCount{s.store, let}
		sch := s.scheduler(t, triggerhook.Options{})
		first := make(chan error, 1)
		long, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			_, err := sch.Stats(long)
			first <- err
		}()
		sleep(t, time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := sch.Stats(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("behind another: %v after %s, want the end of the context after 1 s", err, time.Since(began))
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first: %v, want the end of its context", err)
		}
		close(let)
		if _, err := sch.Stats(t.Context()); err != nil {
			t.Errorf("after both: %v", err)
		}
	})
}

// OldestDue is the age of the task that has waited longest, by when it was to be offered: not of one that lies ahead, or that was due
// longer ago but is in hand or was postponed.
func TestOldestDueIsTheAgeOfTheBacklog(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		oldest := func(want time.Duration) {
			t.Helper()
			sleep(t, 2*time.Second) // Stats reads both stores once a second
			if st, err := sch.Stats(t.Context()); err != nil || st.Namespace.OldestDue != want {
				t.Errorf("the oldest has waited for %s, %v; want %s", st.Namespace.OldestDue, err, want)
			}
		}
		stop := run(t, sch)
		defer stop()
		oldest(0)
		now := time.Now()
		err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: now}, &triggerhook.Task{ID: "b", Due: now.Add(3 * time.Second)}, &triggerhook.Task{ID: "c", Due: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		oldest(2 * time.Second)
		oldest(4 * time.Second)
		if err := sch.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		oldest(3 * time.Second)
		if err := sch.Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		oldest(0)
	})
}

// LoadedAhead is about Window while a feeder works, and falls with the time once none does. A hot set that was never fed has loaded nothing.
func TestLoadedAheadFallsWithoutAFeeder(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{Window: time.Minute})
		ahead := func() time.Duration {
			t.Helper()
			sleep(t, 2*time.Second) // Stats reads both stores once a second
			st, err := sch.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st.Namespace.LoadedAhead
		}
		if got := ahead(); got != 0 {
			t.Errorf("before any feeder the hot set is loaded %s ahead, want 0", got)
		}
		stop := run(t, sch)
		if got := ahead(); got < 50*time.Second || got > 70*time.Second {
			t.Errorf("with a feeder it is loaded %s ahead, want about the window of a minute", got)
		}
		stop()
		sleep(t, 2*time.Minute)
		if got := ahead(); got > -50*time.Second {
			t.Errorf("two minutes after the last feeder it is loaded %s ahead", got)
		}
	})
}
