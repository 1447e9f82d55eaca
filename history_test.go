package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// past returns the history of an ID.
func past(t *testing.T, s *triggerhook.Scheduler, id string) []triggerhook.Ending {
	t.Helper()
	all, err := s.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ended checks that the history of an ID has one end, and returns it.
func ended(t *testing.T, s *triggerhook.Scheduler, id string, how triggerhook.EndKind) (e triggerhook.Ending) {
	t.Helper()
	all := past(t, s, id)
	if len(all) != 1 || all[0].How != how || all[0].ID != id {
		t.Errorf("the history of %q is %+v, want that it ended as %s", id, all, how)
		return e
	}
	return all[0]
}

var kept = triggerhook.History{Retention: time.Hour}

// Each way in which a task ends is in the history, with what is known of it.
func TestTheHistoryHasHowEachTaskEnded(t *testing.T) {
	t.Parallel()
	s := embedded(t, 2).scheduler(t, triggerhook.Options{Worker: "worker-7", History: kept, MaxAttempts: 2})
	begun, due := time.Now().Truncate(time.Millisecond), time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	far := time.Now().Add(time.Hour)
	err := s.Create(t.Context(), &triggerhook.Task{ID: "done", Due: due}, &triggerhook.Task{ID: "rolled back", Due: due}, &triggerhook.Task{ID: "failed", Due: due},
		&triggerhook.Task{ID: "given up", Due: due}, &triggerhook.Task{ID: "late", Due: due, Expires: due}, &triggerhook.Task{ID: "deleted", Due: far},
		&triggerhook.Task{ID: "where/1", Due: far}, &triggerhook.Task{ID: "moved", Due: far}, &triggerhook.Task{ID: "lives", Due: far})
	if err == nil {
		err = errors.Join(s.Delete(t.Context(), "deleted"), s.Reschedule(t.Context(), "moved", far.Add(time.Hour)))
	}
	if _, e := s.DeleteWhere(t.Context(), triggerhook.Filter{IDPrefix: "where/"}, triggerhook.WhereOptions{}); err != nil || e != nil {
		t.Fatal(err, e)
	}
	left := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(left)
		until(t, "all that is due has ended", time.Minute, func() bool {
			st, err := s.Stats(ctx)
			return err == nil && st.Process.Confirmed == 2 && st.Namespace.Dead == 3
		})
		stop()
	}()
	err = s.Handle(ctx, 2, func(_ context.Context, d *triggerhook.Delivery) error {
		switch {
		case d.ID == "failed", d.ID == "rolled back" && d.Attempt == 1:
			return triggerhook.RetryAfter(time.Millisecond)
		case d.ID == "given up":
			return triggerhook.Discard("no such address")
		}
		return nil
	})
	<-left
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id       string
		how      triggerhook.EndKind
		attempts int
		reason   string
	}{
		{"done", triggerhook.EndConfirmed, 1, ""}, {"rolled back", triggerhook.EndConfirmed, 2, ""}, {"failed", triggerhook.EndDead, 2, triggerhook.ReasonAttempts},
		{"given up", triggerhook.EndDead, 1, triggerhook.ReasonDiscarded + ": no such address"}, {"late", triggerhook.EndDead, 0, triggerhook.ReasonExpired},
		{"deleted", triggerhook.EndDeleted, 0, ""}, {"where/1", triggerhook.EndDeleted, 0, ""},
	} {
		e := ended(t, s, c.id, c.how)
		wasDue := far
		if c.how != triggerhook.EndDeleted {
			wasDue = due
		}
		if e.Attempts != c.attempts || e.Reason != c.reason || (e.LastError != "") != (c.how == triggerhook.EndDead && c.attempts > 0) || e.Worker != "worker-7" {
			t.Errorf("the history says %+v, want %+v", e, c)
		}
		if e.Created.Before(begun) || e.Ended.Before(e.Created) || e.Due.Sub(wasDue).Abs() > time.Millisecond ||
			e.Delivered.IsZero() != (c.attempts == 0) || e.Delivered.After(e.Ended) || c.attempts > 0 && e.Delivered.Before(e.Created.Add(-time.Second)) {
			t.Errorf("the times of %+v cannot be", e)
		}
	}
	for _, id := range []string{"moved", "lives", "never was"} {
		if all := past(t, s, id); len(all) != 0 {
			t.Errorf("%q has not ended, and its history is %+v", id, all)
		}
	}
}

// seenEndings notes what End is asked to keep.
type seenEndings struct {
	durable.Historian
	mu   sync.Mutex
	seen map[string]task.Ending
}

func (s *seenEndings) End(ctx context.Context, ends []task.Ending) ([]bool, error) {
	s.mu.Lock()
	for _, e := range ends {
		s.seen[e.ID] = e
	}
	s.mu.Unlock()
	return s.Historian.End(ctx, ends)
}

// A worker tells the store all that is kept of a task that it confirms, so that the store need not read the row: of a task that its creator added to
// the hot set, of one that the feeder added, and of one whose payload was read from the row.

func TestAConfirmWithHistoryReadsNoRow(t *testing.T) {
	for name, both := range map[string]stores{
		"embedded": embedded(t, 1),
		"servers":  servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spy := &seenEndings{Historian: both.store.(durable.Historian), seen: map[string]task.Ending{}}
			both.store = spy
			s := both.scheduler(t, triggerhook.Options{Worker: "worker-7", History: kept})
			before := &triggerhook.Task{ID: "before", Due: time.Now()}
			if err := s.Create(t.Context(), before, &triggerhook.Task{ID: "long", Due: time.Now(), Payload: make([]byte, 5000)}); err != nil { // no worker runs yet: the feeder reads them
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			n := atomic.Int64{}
			err := s.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
				if d.ID == "before" {
					return s.Create(ctx, &triggerhook.Task{ID: "added", Due: time.Now()})
				}
				if n.Add(1) == 2 {
					stop()
				}
				return nil
			})
			stop()
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"before", "long", "added"} {
				e := spy.seen[id]
				all := past(t, s, id)
				if !e.Whole() || e.CreatedMS == 0 || len(all) != 1 || all[0].Created.UnixMilli() != e.CreatedMS || all[0].Due.UnixMilli() != e.DueMS {
					t.Errorf("%q ended as %+v, and its history is %+v, want that the first has the times of the second", id, e, all)
				}
			}
		})
	}
}

// A process without the option keeps nothing, and reads what others have kept. All processes agree on the sample.
func TestTheHistoryIsOfProcessesThatKeepIt(t *testing.T) {
	t.Parallel()
	both := embedded(t, 1)
	half := kept
	half.Sample = 0.5
	on, also, off := both.scheduler(t, triggerhook.Options{History: half}), both.scheduler(t, triggerhook.Options{History: half}), both.scheduler(t, triggerhook.Options{})
	n, far := 0, time.Now().Add(time.Hour)
	for i := range 100 {
		id := fmt.Sprint("task-", i)
		for _, s := range []*triggerhook.Scheduler{on, also, off} {
			if err := errors.Join(s.Create(t.Context(), &triggerhook.Task{ID: id, Due: far}), s.Delete(t.Context(), id)); err != nil {
				t.Fatal(err)
			}
		}
		switch all := past(t, off, id); len(all) {
		case 0:
		case 2:
			n++
		default:
			t.Fatalf("two processes that sample alike ended %q, and its history is %+v", id, all)
		}
	}
	if n < 30 || n > 70 {
		t.Errorf("%d of 100 tasks are in a sample of a half", n)
	}
	if st, err := on.Stats(t.Context()); err != nil || st.Process.Deleted != 100 {
		t.Errorf("it has deleted %d tasks, %v", st.Process.Deleted, err)
	}
}

func TestBadHistoryOptionsAreRefused(t *testing.T) {
	both := embedded(t, 1)
	for name, c := range map[string]struct {
		o    triggerhook.History
		want string
	}{
		"short":      {triggerhook.History{Retention: time.Hour - 1}, "History.Retention is 59m59.999999999s"},
		"negative":   {triggerhook.History{Retention: -1}, "History.Retention is -1ns"},
		"long":       {triggerhook.History{Retention: 1 << 62}, "History.Retention"},
		"sample":     {triggerhook.History{Retention: time.Hour, Sample: 1.01}, "Sample is 1.01"},
		"below 0":    {triggerhook.History{Retention: time.Hour, Sample: -0.1}, "Sample is -0.1"},
		"no number":  {triggerhook.History{Retention: time.Hour, Sample: math.NaN()}, "Sample is NaN"},
		"no history": {triggerhook.History{Sample: 0.1}, "without a Retention"},
	} {
		_, err := triggerhook.New(both.store, both.set, triggerhook.Options{History: c.o})
		if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", name, err, c.want)
		}
	}
	plain := struct{ durable.Store }{both.store}
	if _, err := triggerhook.New(plain, both.set, triggerhook.Options{Worker: "worker-7", History: kept}); !errors.Is(err, triggerhook.ErrUnsupported) {
		t.Errorf("New on a store without history: %v, want ErrUnsupported", err)
	}
	s := stores{store: plain, set: both.set}.scheduler(t, triggerhook.Options{})
	if _, err := s.History(t.Context(), "a"); !errors.Is(err, triggerhook.ErrUnsupported) {
		t.Errorf("History on a store without: %v, want ErrUnsupported", err)
	}
	if _, err := s.History(t.Context(), " "); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("History of a blank ID: %v, want ErrInvalid", err)
	}
	if all := past(t, both.scheduler(t, triggerhook.Options{Worker: "worker-7", History: kept}), "a"); len(all) != 0 {
		t.Errorf("the history of a task that never was is %+v", all)
	}
}

// The history of what a caller's transaction confirms or deletes is there if and only if that commits.
func TestTheHistoryOfTransactions(t *testing.T) {
	t.Parallel()
	p := newTxPair(t, triggerhook.Options{Worker: "worker-7", History: kept})
	p.must(p.sch.Create(t.Context(), &triggerhook.Task{ID: "confirmed", Due: time.Now()}, &triggerhook.Task{ID: "deleted", Due: time.Now().Add(time.Hour)}))
	d := next(t, p.sch)
	for _, commit := range []bool{false, true} {
		tx := p.begin()
		p.must(d.ConfirmTx(t.Context(), tx))
		p.must(p.sch.DeleteTx(t.Context(), tx, "deleted"))
		if !commit {
			p.must(tx.Rollback())
			if n := len(past(t, p.sch, "confirmed")) + len(past(t, p.sch, "deleted")); n != 0 {
				t.Errorf("%d ends are kept of a transaction that was rolled back", n)
			}
			continue
		}
		p.must(tx.Commit())
	}
	p.must(d.Confirm(t.Context()))
	if e := ended(t, p.sch, "confirmed", triggerhook.EndConfirmed); e.Attempts != 1 || e.Delivered.IsZero() {
		t.Errorf("the history of the confirmed task is %+v", e)
	}
	ended(t, p.sch, "deleted", triggerhook.EndDeleted)
}

// The worker that holds the auditor's role purges what is older than the retention, however much it is, and nothing else.
func TestAWorkerPurgesTheHistory(t *testing.T) {
	t.Parallel()
	both := embedded(t, 1)
	o := kept
	o.Retention = 24 * time.Hour
	s, now := both.scheduler(t, triggerhook.Options{History: o}), time.Now()
	const old, young = 1500, 10
	rows, ends := someRows(old+young), []task.Ending(nil)
	for i, r := range rows {
		e := task.Ending{Ref: r.Ref, How: task.EndDeleted, EndedMS: now.Add(-o.Retention-time.Duration(i+1)*time.Second).UnixMilli() - task.SlotMS}
		if i >= old {
			e.EndedMS = now.Add(-o.Retention + time.Minute).UnixMilli()
		}
		ends = append(ends, e)
	}
	err := both.store.Create(t.Context(), rows)
	if err == nil {
		_, err = both.store.(durable.Historian).End(t.Context(), ends)
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	until(t, "the old history is purged", time.Minute, func() bool {
		st, err := s.Stats(t.Context())
		return err == nil && st.Process.Purged >= old
	})
	for i, r := range rows {
		if n := len(past(t, s, r.ID)); (i >= old) != (n == 1) {
			t.Fatalf("of task %d of %d, of which the first %d are old, %d ends are kept", i, len(rows), old, n)
		}
	}
}
