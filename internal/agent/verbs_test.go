package agent

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// fewRows is a durable store that has some rows; read is called before each read of them.
type fewRows struct {
	durable.Store
	rows map[string]task.Row
	read func()
}

func (f *fewRows) Get(_ context.Context, ids []string) (found []task.Row, err error) {
	f.read()
	for _, id := range ids {
		if r, ok := f.rows[id]; ok {
			found = append(found, r)
		}
	}
	return found, nil
}

func (f *fewRows) Versions(ctx context.Context, ids []string) (refs []task.Ref, err error) {
	rows, err := f.Get(ctx, ids)
	for _, r := range rows {
		refs = append(refs, r.Ref)
	}
	return refs, err
}

// stage has options of roles on a store of n rows, whose members are in the hot set if members is set.
func stage(t *testing.T, n int, members bool) (Options, *fewRows, []task.Row) {
	t.Helper()
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := set.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 50, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	store, rows, entries := &fewRows{rows: map[string]task.Row{}, read: func() {}}, []task.Row{}, []task.Entry{}
	for i := range n {
		r := task.Row{Ref: task.Ref{ID: fmt.Sprintf("t%02d", i), Ver: 1}, NextMS: 1, DueMS: 1}
		store.rows[r.ID] = r
		rows, entries = append(rows, r), append(entries, task.Entry{Ref: r.Ref, NextMS: 1, DueMS: 1})
	}
	if members {
		if _, err := set.Add(t.Context(), 0, task.AddRequest{AsOf: st.AsOf, Entries: entries}); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Store: store, Set: set, Lease: time.Second, Counts: &Counts{}, Report: &report.Reporter{}, parts: 1}
	o.Adder = preload.New(preload.Options{Store: store, Set: set, Report: o.Report})
	return o, store, rows
}

// claimEach claims n batches of one member under a lease of a second, and waits until it has expired.
func claimEach(t *testing.T, o Options, n int) {
	t.Helper()
	for i := range n {
		if b, err := o.Set.Claim(t.Context(), 0, task.ClaimRequest{Token: fmt.Sprint("batch", i), Limit: 1, Lease: time.Second}); err != nil || len(b.Claims) != 1 {
			t.Fatalf("Claim %d: %d members, %v, want 1", i, len(b.Claims), err)
		}
	}
	<-time.After(time.Minute) // by the clock of the bubble
}

// wants compares what waits and what is claimed.
func wants(t *testing.T, o Options, waiting, claimed int64) {
	t.Helper()
	if st, err := o.Set.State(t.Context(), 0); err != nil || st.Waiting != waiting || st.Claimed != claimed {
		t.Errorf("%d members wait and %d are claimed, %v; want %d and %d", st.Waiting, st.Claimed, err, waiting, claimed)
	}
}

// One round gives all expired batches back, however many answers that takes.
func TestTheReaperGoesOnUntilNoneIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2*reapBatches + 1
		o, _, _ := stage(t, n, true)
		claimEach(t, o, n)
		newReaper(o).round(t.Context())
		wants(t, o, n, 0)
	})
}

// A worker that gets its lease back while the reaper reads the rows keeps its task (ReapStanding).
func TestTheReaperLeavesALeaseThatWasRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, store, rows := stage(t, 1, true)
		claimEach(t, o, 1)
		store.read = func() {
			st, err := o.Set.State(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Set.Extend(t.Context(), 0, task.ExtendRequest{Generation: st.AsOf.Generation, Tokens: []string{"batch0"},
				Refs: []task.Ref{rows[0].Ref}, Lease: time.Minute}); err != nil {
				t.Fatal(err)
			}
		}
		newReaper(o).round(t.Context())
		wants(t, o, 0, 1)
	})
}

// A member whose row is gone is removed, and the others of its batch are given back.
func TestTheReaperRemovesWhatHasNoRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, store, _ := stage(t, 3, true)
		claimEach(t, o, 3)
		delete(store.rows, "t01")
		newReaper(o).round(t.Context())
		wants(t, o, 2, 0)
	})
}

// Between the audit's scan and its add a row may be deleted: the rows are read again.
func TestTheAuditorAddsOnlyWhatExistsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, store, rows := stage(t, 3, false)
		delete(store.rows, "t01")
		newAuditor(o).addMissing(t.Context(), 0, rows)
		wants(t, o, 2, 0)
		if n := o.Counts.Finds.Load(); n != 2 {
			t.Errorf("the audit counts %d finds, want 2", n)
		}
		newAuditor(o).addMissing(t.Context(), 0, rows[:1]) // what the hot set holds is not missing
		if n := o.Counts.Finds.Load(); n != 2 {
			t.Errorf("a second audit counts %d finds in all, want 2", n)
		}
	})
}
