package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// A creator that died between its commit and its add is found by the auditor.
func TestARowThatNoProcessAddedIsFound(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 10*time.Second)
		var rows []task.Row
		for i := range 20 {
			due := time.Now().Add(time.Duration(i) * time.Second).UnixMilli()
			rows = append(rows, task.Row{Ref: task.Ref{ID: fmt.Sprint("orphan-", i), Ver: int64(i)}, NextMS: due, DueMS: due})
		}
		if err := s.store.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if l := drain(t, sch, time.Minute); l.len() != 20 || l.worst > 12*time.Second {
			t.Errorf("%d of 20 tasks fired, at worst %s late; want all within the grace and a round", l.len(), l.worst)
		}
		st, err := sch.Stats(t.Context())
		if err != nil || st.Process.AuditFinds != 20 {
			t.Errorf("%d audit finds, %v, want 20", st.Process.AuditFinds, err)
		}
		stop()
	})
}

// finds counts how often the hot set is asked where members are.
type finds struct {
	hotset.Set
	n atomic.Int64
}

func (f *finds) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	f.n.Add(1)
	return f.Set.Find(ctx, p, refs)
}

// However much is in flight, an audit asks once: what is in flight is read for each
// question.
func TestAnAuditOfMuchInFlightAsksOnce(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		const n = 2500
		set := &finds{Set: s.set}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		if err := sch.Create(t.Context(), tasks(n, func(int) time.Time { return time.Now() })...); err != nil {
			t.Fatal(err)
		}
		var held []*triggerhook.Delivery
		for range n {
			held = append(held, next(t, sch))
		}
		sleep(t, 20*time.Second)
		if asked, most := set.n.Load(), int64(4*s.set.Config().Partitions); asked == 0 || asked > most {
			t.Errorf("in 20 s the hot set was asked %d times where %d tasks are, want 1 to %d", asked, n, most)
		}
		for _, d := range held {
			d.ConfirmAsync()
		}
		stop()
		empty(t, s)
	})
}

// A deleter that died between its row and its member: the member was claimed by a
// worker that died too. The reaper looks at the row first.
func TestTheReaperGivesBackOnlyWhatHasARow(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		all := tasks(40, func(int) time.Time { return time.Now() })
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		for p := range s.set.Config().Partitions {
			if _, err := s.set.Claim(t.Context(), p, task.ClaimRequest{Token: fmt.Sprint("dead", p), Limit: 100, Lease: time.Second}); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for _, x := range all[:20] {
			ids = append(ids, x.ID)
		}
		refs, err := s.store.Versions(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.Delete(t.Context(), refs); err != nil {
			t.Fatal(err)
		}
		sleep(t, 30*time.Second) // no worker consumes, because it would look at the row too
		var waiting int64
		for p := range s.set.Config().Partitions {
			st, err := s.set.State(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			waiting += st.Waiting
		}
		if waiting != 20 {
			t.Errorf("%d tasks were given back, want the 20 that have rows", waiting)
		}
		l := drain(t, sch, time.Minute)
		for _, id := range ids {
			if l.times[id] > 0 {
				t.Errorf("%s was delivered without a row", id)
			}
		}
		if l.len() != 20 {
			t.Errorf("%d tasks fired, want the 20 that have rows", l.len())
		}
		stop()
		empty(t, s)
	})
}

// Workers restart faster than an audit's period, as in a rolling restart that does not end:
// what fell through is found nevertheless.
func TestWorkersThatRestartAllTheTimeFindWhatFellThrough(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Second, 4500 * time.Millisecond} {
		t.Run(life.String(), func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
				defer cancel()
				var l ledger
				var wg sync.WaitGroup
				wg.Go(func() {
					for ctx.Err() == nil {
						lived, end := context.WithTimeout(ctx, life)
						err := s.scheduler(t, triggerhook.Options{}).Handle(lived, 4, func(_ context.Context, d *triggerhook.Delivery) error {
							l.note(d)
							return nil
						})
						if end(); err != nil && ctx.Err() == nil { // a life that begins as the test ends has not begun
							t.Errorf("Handle: %v", err)
						}
					}
				})
				sleep(t, 10*time.Second)
				var rows []task.Row
				for i := range 8 {
					due := time.Now().Add(time.Second).UnixMilli()
					rows = append(rows, task.Row{Ref: task.Ref{ID: fmt.Sprint("orphan-", i), Ver: int64(i + 1)}, NextMS: due, DueMS: due})
				}
				if err := s.store.Create(t.Context(), rows); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				if most := 5*time.Second + 2*life; l.len() != 8 || l.worst > most {
					t.Errorf("%d of 8 tasks fired, at worst %s late; want all within AuditGrace and two lives, %s", l.len(), l.worst, most)
				}
				empty(t, s)
			})
		})
	}
}

// flapping is a set whose every other election is not answered, and a store that counts audits.
type flapping struct {
	hotset.Set
	n atomic.Int64
}

func (f *flapping) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if f.n.Add(1)%2 == 0 && term > 0 {
		return nil, fmt.Errorf("elect: %w", task.ErrUnavailable)
	}
	return f.Set.Elect(ctx, holder, term, roles...)
}

// audits counts the reads of auditors, which need no payloads.
type audits struct {
	durable.Store
	n atomic.Int64
}

func (a *audits) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	if inline == 0 {
		a.n.Add(1)
	}
	return a.Store.Scan(ctx, after, belowMS, limit, inline)
}

// The first round of a term audits, but not of each: a process that loses its roles and has them
// back all the time audits no more often than others.
func TestAProcessThatLosesItsRolesAllTheTimeAuditsAsOftenAsOthers(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		counted := &audits{Store: s.store}
		s.store, s.set = counted, &flapping{Set: s.set}
		stop := run(t, s.scheduler(t, triggerhook.Options{}))
		sleep(t, time.Second)
		if n := counted.n.Load(); n != 1 {
			t.Errorf("%d audits in the first second, want 1", n)
		}
		sleep(t, time.Minute)
		if n := counted.n.Load(); n < 5 || n > 13 {
			t.Errorf("%d audits in 61 s, want one each 5 s at most", n)
		}
		stop()
	})
}
