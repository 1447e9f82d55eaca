package triggerhook_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// txPair is a scheduler on real servers that runs, and finds nothing by audits.
type txPair struct {
	*testing.T
	stores
	sch *triggerhook.Scheduler
}

func newTxPair(t *testing.T, o triggerhook.Options) *txPair {
	s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 4)
	o.AuditGrace = time.Hour
	p := &txPair{t, s, s.scheduler(t, o)}
	run(t, p.sch)
	until(t, "the hot set is full up to its horizon", time.Minute, func() bool {
		for part := range 4 {
			st, err := s.set.State(t.Context(), part)
			if err != nil || st.AsOf.Generation == 0 || st.Loaded.NextMS < st.HorizonMS {
				return false
			}
		}
		return true
	})
	return p
}

func (p *txPair) begin() *sql.Tx {
	p.Helper()
	tx, err := p.db.BeginTx(p.Context(), nil)
	p.must(err)
	p.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (p *txPair) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// delivers confirms as many deliveries as there are ids, and compares them.
func (p *txPair) delivers(ids ...string) {
	p.Helper()
	var got []string
	for range ids {
		d := next(p.T, p.sch)
		got = append(got, d.ID)
		p.must(d.Confirm(p.Context()))
	}
	if slices.Sort(got); !slices.Equal(got, ids) {
		p.Errorf("delivered are %v, want %v", got, ids)
	}
}

// drained waits until the outbox is empty, and checks how many rows and members are left.
func (p *txPair) drained(rows, members int64) {
	p.Helper()
	until(p.T, "the outbox is empty", time.Minute, func() bool {
		page, err := p.store.(durable.TxStore).Outbox(p.Context(), 0, 1)
		p.must(err)
		return len(page) == 0
	})
	n, _, err := p.store.Count(p.Context(), 100)
	p.must(err)
	var waiting int64
	for part := range 4 {
		st, err := p.set.State(p.Context(), part)
		p.must(err)
		waiting += st.Waiting + st.Claimed
	}
	if n != rows || waiting != members {
		p.Errorf("the store has %d rows and the hot set %d members, want %d and %d", n, waiting, rows, members)
	}
}

// What a transaction creates is delivered if and only if it commits, without a call after the commit.
func TestTasksOfATransactionFireIffItCommits(t *testing.T) {
	t.Parallel()
	p := newTxPair(t, triggerhook.Options{})
	lost, kept := p.begin(), p.begin()
	mine := &triggerhook.Task{Due: time.Now().Add(1500 * time.Microsecond)}
	p.must(p.sch.CreateTx(p.Context(), lost, tasks(5, func(int) time.Time { return time.Now() })...))
	p.must(p.sch.CreateTx(p.Context(), kept, mine, &triggerhook.Task{ID: "b", Due: time.Now().Add(time.Second)}))
	if mine.ID == "" || mine.Due.Nanosecond()%1e6 != 0 || p.sch.CreateTx(p.Context(), kept) != nil {
		t.Errorf("CreateTx left the task %+v; want an id, and a due time in whole milliseconds", mine)
	}
	p.must(lost.Rollback())
	p.drained(0, 0)
	p.must(kept.Commit())
	p.delivers(mine.ID, "b")
	p.drained(0, 0)
}

// A transaction that stays open for longer than the window, and past the due time of its task, loses nothing. Nothing
// but the outbox can find the task: the feeder has read past it, and there is no audit.
func TestATransactionThatIsOpenForLongLosesNothing(t *testing.T) {
	t.Parallel()
	p := newTxPair(t, triggerhook.Options{Window: time.Second})
	tx := p.begin()
	due := time.Now().Add(time.Second)
	p.must(p.sch.CreateTx(p.Context(), tx, &triggerhook.Task{ID: "a", Due: due}))
	until(t, "the feeder has read past the task", time.Minute, func() bool {
		st, err := p.set.State(p.Context(), task.Partition("a", 4))
		return err == nil && st.Loaded.NextMS > due.Add(time.Second).UnixMilli()
	})
	p.must(tx.Commit())
	p.delivers("a")
	p.drained(0, 0)
}

// What a transaction deletes is gone from both stores if and only if it commits.
func TestTasksThatATransactionDeletesAreGoneIffItCommits(t *testing.T) {
	t.Parallel()
	p := newTxPair(t, triggerhook.Options{})
	later := time.Now().Add(30 * time.Second)
	p.must(p.sch.Create(p.Context(), tasks(3, func(int) time.Time { return later })...))
	tx := p.begin()
	err := p.sch.DeleteTx(p.Context(), tx, "task-00000", "absent", "task-00001", "absent")
	var ids *triggerhook.IDError
	if !errors.As(err, &ids) || !slices.Equal(ids.NotFound, []string{"absent"}) {
		t.Errorf("DeleteTx with an id that does not exist: %v", err)
	}
	p.must(tx.Rollback())
	p.drained(3, 3)
	tx = p.begin()
	p.must(p.sch.DeleteTx(p.Context(), tx, "task-00000", "task-00001"))
	p.drained(3, 3)
	p.must(tx.Commit())
	p.drained(1, 1)
	p.must(p.sch.Delete(p.Context(), "task-00002"))
}

// What a transaction moves fires at its new time if and only if it commits, and a delivery from before cannot confirm it.
func TestATaskThatATransactionMovesFiresAtItsNewTimeIffItCommits(t *testing.T) {
	t.Parallel()
	p := newTxPair(t, triggerhook.Options{})
	later := time.Now().Add(30 * time.Second)
	p.must(p.sch.Create(p.Context(), &triggerhook.Task{ID: "a", Due: later}, &triggerhook.Task{ID: "b", Due: time.Now()}))
	inHand := next(t, p.sch)
	tx := p.begin()
	p.must(p.sch.RescheduleTx(p.Context(), tx, "a", time.Now()))
	p.must(tx.Rollback())
	p.drained(2, 2)
	tx = p.begin()
	p.must(p.sch.RescheduleTx(p.Context(), tx, "b", later))
	p.must(p.sch.RescheduleTx(p.Context(), tx, "b", time.Now()))
	if err := p.sch.RescheduleTx(p.Context(), tx, "absent", later); !errors.Is(err, triggerhook.ErrNotFound) {
		t.Errorf("RescheduleTx of an id that does not exist: %v", err)
	}
	p.must(tx.Commit())
	if err := inHand.Confirm(p.Context()); !errors.Is(err, triggerhook.ErrGone) {
		t.Errorf("Confirm of a delivery from before the move: %v", err)
	}
	p.delivers("b")
	p.must(p.sch.Reschedule(p.Context(), "a", later.Add(time.Second)))
	tx = p.begin()
	p.must(p.sch.RescheduleTx(p.Context(), tx, "a", time.Now())) // the row was moved before
	p.must(tx.Commit())
	p.delivers("a")
	p.drained(0, 0)
}

// A task is not moved to a time at which it has expired, and the transaction goes on.
func TestATransactionMovesNoTaskBeyondItsExpiry(t *testing.T) {
	t.Parallel()
	p := newTxPair(t, triggerhook.Options{})
	later := time.Now().Add(30 * time.Second)
	p.must(p.sch.Create(p.Context(), &triggerhook.Task{ID: "a", Due: later, Expires: later}))
	tx := p.begin()
	err := p.sch.RescheduleTx(p.Context(), tx, "a", later.Add(time.Second))
	if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), `is later than task "a" expires`) {
		t.Errorf("%v, want ErrInvalid that says so", err)
	}
	p.must(p.sch.RescheduleTx(p.Context(), tx, "a", later.Add(-20*time.Second)))
	p.must(tx.Commit())
	if info, err := p.sch.Get(p.Context(), "a"); err != nil || !info.Due.Before(later) {
		t.Errorf("after the commit: %+v, %v; want the earlier time", info, err)
	}
}

// A store without transactions, and no transaction at all, are refused before anything is sent.
func TestATransactionThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	var none *sql.Tx
	for _, c := range []struct {
		tx   triggerhook.Tx
		want error
	}{{nil, triggerhook.ErrInvalid}, {none, triggerhook.ErrInvalid}, {&sql.Tx{}, triggerhook.ErrUnsupported}} {
		for name, call := range map[string]func(context.Context) error{
			"CreateTx": func(ctx context.Context) error {
				return sch.CreateTx(ctx, c.tx, &triggerhook.Task{ID: "a", Due: time.Now()})
			},
			"DeleteTx":     func(ctx context.Context) error { return sch.DeleteTx(ctx, c.tx, "a") },
			"RescheduleTx": func(ctx context.Context) error { return sch.RescheduleTx(ctx, c.tx, "a", time.Now()) },
		} {
			if err := call(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("%s in %T: %v, want %v", name, c.tx, err, c.want)
			}
		}
	}
	for _, err := range []error{sch.CreateTx(t.Context(), none, &triggerhook.Task{}), sch.DeleteTx(t.Context(), none, "\x00"),
		sch.RescheduleTx(t.Context(), none, "", time.Time{})} {
		if !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("a bad task, id or time: %v, want ErrInvalid", err)
		}
	}
	if err := sch.DeleteTx(t.Context(), none, make([]string, 0)...); err != nil {
		t.Errorf("DeleteTx of nothing: %v", err)
	}
}
