package agent

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/task"
)

// box is the outbox of a store with few rows.
type box struct {
	durable.TxStore
	entries []task.OutboxEntry
	reads   int
	held    []int64
	steps   []string
	note    string // of the use of transactions
}

func (b *box) Outbox(_ context.Context, after int64, limit int) (page []task.OutboxEntry, err error) {
	b.reads++
	for _, e := range b.entries {
		if e.Key > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

func (b *box) DeleteOutbox(_ context.Context, keys []int64) error {
	b.entries = slices.DeleteFunc(b.entries, func(e task.OutboxEntry) bool { return slices.Contains(keys, e.Key) })
	return nil
}

func (b *box) HoldBound(_ context.Context, nextMS int64) error {
	b.held, b.steps = append(b.held, nextMS), append(b.steps, "hold")
	return nil
}

func (b *box) Records(context.Context) (task.Records, error) {
	return task.Records{Values: map[string]string{task.RecordIdentity: "a", task.RecordTxUse: b.note}}, nil
}

// toldSet notes the adds of a hot set, and fails some removals.
type toldSet struct {
	hotset.Set
	box   *box
	fails int
}

func (s *toldSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	s.box.steps = append(s.box.steps, "add")
	return s.Set.Add(ctx, p, a)
}

func (s *toldSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if s.fails > 0 {
		s.fails--
		return task.RemoveResult{}, errors.New("no answer")
	}
	return s.Set.Remove(ctx, p, token, refs)
}

// drains is a drainer, whose outbox names the n rows of its store.
func drains(t *testing.T, n int, members bool) (*drainer, *box, *toldSet, *fewRows) {
	o, store, rows := stage(t, n, members)
	b := &box{}
	for i, r := range rows {
		b.entries = append(b.entries, task.OutboxEntry{Key: int64(i + 1), Ref: r.Ref})
	}
	set := &toldSet{Set: o.Set, box: b}
	o.Outbox, o.Fenced = b, set
	o.Records = record.NewReader(b, o.Set, o.Report)
	o.Window = horizon.New(time.Minute, store, o.Records, o.Report)
	return newDrainer(o), b, set, store
}

// All pages of the outbox are told: what has a row is added, and what has none is removed.
func TestADrainerTellsWhatBecameOfEachVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, _, store := drains(t, pageRows+10, false)
		if !d.drain(t.Context()) || len(b.entries) != 0 {
			t.Errorf("%d entries are left", len(b.entries))
		}
		wants(t, d.o, pageRows+10, 0)
		moved := store.rows["t00"]
		b.entries = []task.OutboxEntry{{Key: 1, Ref: moved.Ref}, {Key: 2, Ref: task.Ref{ID: "t00", Ver: 2}}, {Key: 3, Ref: task.Ref{ID: "t01", Ver: 1}}}
		moved.Ver, moved.PrevVer = 2, 1
		store.rows["t00"] = moved
		delete(store.rows, "t01")
		if !d.drain(t.Context()) || len(b.entries) != 0 {
			t.Errorf("%v are left", b.entries)
		}
		wants(t, d.o, pageRows+9, 0)
	})
}

// purged is a store whose history has nothing that is old.
type purged struct {
	durable.Historian
	rounds int
}

func (p *purged) PurgeHistory(context.Context, int64, int) (int, error) {
	p.rounds++
	return 0, nil
}

// What runs beside a role runs in the role's terms, and only the role's own runner tells of them.
func TestATermIsToldOnceWhateverRunsBesideItsRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, _, _ := drains(t, 3, false)
		kept, told := &purged{}, 0
		o := d.o
		o.Hooks.LeaderElected = func(hook.LeaderElected) { told++ }
		o.History, o.Retention = kept, time.Hour
		for _, r := range NewElector(o).runners {
			if r.beside {
				r.follow(t.Context(), task.Term{Held: true, Epoch: 1})
				synctest.Wait()
				r.stop()
			}
		}
		if told != 0 || len(b.entries) != 0 || kept.rounds != 1 {
			t.Errorf("told %d times, %d entries are left, %d purges; want a round of the drainer and one of the purger, of which nothing is told", told, len(b.entries), kept.rounds)
		}
	})
}

// A drainer that is stopped between its read and its add, for longer than tombstones last, brings nothing back that was
// deleted meanwhile (AsOfBeforeRead).
func TestADrainerRaisesNoGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, set, store := drains(t, 1, false)
		ref := b.entries[0].Ref
		d.o.Set = arrives{d.o.Set} // so that it is not the end of the call's time that saves it
		d.o.Adder = preload.New(preload.Options{Store: store, Set: d.o.Set, Report: d.o.Report})
		d.o.Store = &lateRows{fewRows: store, after: func() {
			delete(store.rows, ref.ID)
			if _, err := set.Set.Remove(t.Context(), 0, "", []task.Ref{ref}); err != nil {
				t.Fatal(err)
			}
			<-time.After(4 * task.TombstoneTTL)
		}}
		d.drain(t.Context())
		wants(t, d.o, 0, 0)
	})
}

// arrives is a set that gets each call whose process was stopped after it had looked at its context.
type arrives struct{ hotset.Set }

func (a arrives) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return a.Set.Clock(context.WithoutCancel(ctx), p)
}

func (a arrives) Add(ctx context.Context, p int, req task.AddRequest) ([]task.AddOutcome, error) {
	return a.Set.Add(context.WithoutCancel(ctx), p, req)
}

// lateRows answers its first read late.
type lateRows struct {
	*fewRows
	after func()
}

func (l *lateRows) Get(ctx context.Context, ids []string) ([]task.Row, error) {
	rows, err := l.fewRows.Get(ctx, ids)
	if act := l.after; act != nil {
		l.after = nil
		act()
	}
	return rows, err
}

// An entry is the only thing that knows of a removal, so it stays until that has succeeded.
func TestAnEntryStaysUntilTheHotSetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, set, store := drains(t, 1, true)
		clear(store.rows)
		set.fails = 1
		if again := d.round(t.Context()); again != failedRetry || len(b.entries) != 1 {
			t.Errorf("after a removal that failed %d entries are left, and the next round comes after %s; want 1 after %s", len(b.entries), again, failedRetry)
		}
		wants(t, d.o, 1, 0)
		d.round(t.Context())
		wants(t, d.o, 0, 0)
		if len(b.entries) != 0 {
			t.Errorf("%v are left", b.entries)
		}
	})
}

// If the hot set is cold when it is told, its next generation reads the rows from the low bound on: the bound is held before.
func TestTheBoundIsHeldBeforeTheHotSetIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, set, store := drains(t, 3, false)
		for id, ms := range map[string]int64{"t00": 9, "t01": 5, "t02": 7} {
			r := store.rows[id]
			r.NextMS = ms
			store.rows[id] = r
		}
		d.o.Adder = preload.New(preload.Options{Store: store, Set: set, Report: d.o.Report})
		d.drain(t.Context())
		if !slices.Equal(b.held, []int64{5}) || !slices.Equal(b.steps, []string{"hold", "add"}) {
			t.Errorf("the steps are %v, and the bound is held at %v; want hold, add at 5", b.steps, b.held)
		}
	})
}

// The outbox is read each 100 ms for a minute after a note, and seldom otherwise: a transaction may stay open for longer.
func TestTheOutboxIsReadOftenWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, b, _, _ := drains(t, 0, false)
		minute := func() int {
			before := b.reads
			for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				<-time.After(d.round(t.Context()))
			}
			return b.reads - before
		}
		note := func(text string) {
			b.note = text
			if err := d.o.Records.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		seldom := minute()
		note("1")
		often, later := minute(), minute()
		note("2")
		if again := minute(); seldom != 1 || often != 600 || later != 6 || again != 600 {
			t.Errorf("in a minute the outbox was read %d times without a note, then %d times, then %d, and after another note %d times; want 1, 600, 6, 600",
				seldom, often, later, again)
		}
		select {
		case <-d.o.Records.TxUsed():
		default:
			t.Error("a note wakes no drainer")
		}
	})
}
