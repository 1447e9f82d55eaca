package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/durabletest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// txWorld is a store, and a pool of the caller's own with the isolation level of a server that was never told another.
type txWorld struct {
	*testing.T
	*durable.MySQL
	db *sql.DB
}

func eachTxKind(t *testing.T, test func(w txWorld)) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newTxWorld(t, kind)
			if err := w.Migrate(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			test(w)
		})
	}
}

func newTxWorld(t *testing.T, kind testserver.Kind) txWorld {
	t.Helper()
	server := testserver.Shared(t, kind)
	dsn := server.DSN(server.Database(t))
	pools := make([]*sql.DB, 2)
	for i := range pools {
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		pools[i] = db
	}
	return txWorld{t, open(t, pools[0]), pools[1]}
}

// The suite for TxStore, in transactions whose snapshots are older than what they meet.
func TestTxStore(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			durabletest.RunTx(t, func(t *testing.T) (durable.TxStore, func() task.Tx) {
				w := newTxWorld(t, kind)
				return w.MySQL, func() task.Tx {
					tx := w.begin()
					if _, err := tx.Exec("SELECT * FROM t_task"); err != nil {
						t.Fatal(err)
					}
					return tx
				}
			})
		})
	}
}

func (w txWorld) begin() *sql.Tx {
	w.Helper()
	tx, err := w.db.BeginTx(w.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (w txWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// lock locks ids, of which all exist.
func (w txWorld) lock(tx *sql.Tx, ids ...string) []task.LockedRow {
	w.Helper()
	rows, err := w.LockTx(w.Context(), tx, ids)
	if err != nil || len(rows) != len(ids) {
		w.Fatalf("LockTx of %d rows answered %v, %v", len(ids), rows, err)
	}
	return rows
}

// outbox returns the versions that the committed entries name.
func (w txWorld) outbox() (refs []task.Ref) {
	w.Helper()
	for after := int64(0); ; {
		page, err := w.Outbox(w.Context(), after, 2)
		w.must(err)
		for _, e := range page {
			refs, after = append(refs, e.Ref), e.Key
		}
		if len(page) < 2 {
			slices.SortFunc(refs, func(a, b task.Ref) int { return int(a.Ver - b.Ver) })
			return refs
		}
	}
}

// holds checks what is committed: the versions of rows, and those that entries name.
func (w txWorld) holds(what string, rows, entries []int64) {
	w.Helper()
	found, err := w.Scan(w.Context(), task.Cursor{}, task.MaxDue, 1000, 0)
	w.must(err)
	var got, named []int64
	for _, r := range found {
		got = append(got, r.Ver)
	}
	for _, r := range w.outbox() {
		named = append(named, r.Ver)
	}
	slices.Sort(got)
	if !slices.Equal(got, rows) || !slices.Equal(named, entries) {
		w.Errorf("%s: rows have the versions %v and entries name %v, want %v and %v", what, got, named, rows, entries)
	}
}

func txRow(id string, ver int64) task.Row {
	return task.Row{Ref: task.Ref{ID: id, Ver: ver}, NextMS: 1000 + ver, DueMS: 1000 + ver, Payload: []byte("of " + id), Headers: `{"k":"v"}`}
}

// A drainer deletes exactly what it has read: a second entry of a version, which came since, stays.
func TestEntriesAreDeletedByTheirOwnKeys(t *testing.T) {
	eachTxKind(t, func(w txWorld) {
		ctx := w.Context()
		tx := w.begin()
		w.must(w.CreateTx(ctx, tx, []task.Row{txRow("a", 1)}))
		w.must(tx.Commit())
		page, err := w.Outbox(ctx, 0, 10)
		if err != nil || len(page) != 1 || page[0].Ref != (task.Ref{ID: "a", Ver: 1}) || page[0].Key < 1 {
			w.Fatalf("Outbox answered %v, %v", page, err)
		}
		tx = w.begin()
		w.must(w.DeleteTx(ctx, tx, w.lock(tx, "a")))
		w.must(tx.Commit())
		open := w.begin() // an entry that is not committed holds up no deletion
		w.must(w.CreateTx(ctx, open, []task.Row{txRow("c", 7)}))
		w.must(w.DeleteOutbox(ctx, []int64{page[0].Key}))
		w.holds("after the deletion of the first entry", nil, []int64{1})
		w.must(w.DeleteOutbox(ctx, nil))
		var many []task.Row
		for i := range 100 { // nearly all of a small table is named
			many = append(many, txRow(fmt.Sprint("x", i), int64(100+i)))
		}
		tx = w.begin()
		w.must(w.CreateTx(ctx, tx, many))
		w.must(tx.Commit())
		page, err = w.Outbox(ctx, 0, 1000)
		w.must(err)
		var keys []int64
		for _, e := range page {
			keys = append(keys, e.Key)
		}
		w.must(w.DeleteOutbox(ctx, keys))
		if left := w.outbox(); len(keys) != 101 || len(left) != 0 {
			w.Errorf("of %d entries %v are left", len(keys), left)
		}
	})
}

// What is wrong with a transaction is said.
func TestATransactionThatCannotBeUsedIsNamed(t *testing.T) {
	eachTxKind(t, func(w txWorld) {
		ctx := w.Context()
		elsewhere, err := durable.NewMySQL(w.db, durable.Options{Namespace: "other"})
		w.must(err)
		if err := elsewhere.CreateTx(ctx, w.begin(), []task.Row{txRow("a", 1)}); !errors.Is(err, task.ErrNotMigrated) {
			w.Errorf("CreateTx where there are no tables: %v", err)
		}
		long := txRow("a", 1)
		long.Headers = string(make([]byte, task.MaxHeaders+1))
		if err := w.CreateTx(ctx, w.begin(), []task.Row{long}); !errors.Is(err, task.ErrTooLarge) {
			w.Errorf("CreateTx with headers that are too long: %v", err)
		}
		readOnly, err := w.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		w.must(err)
		defer readOnly.Rollback()
		if err := w.CreateTx(ctx, readOnly, []task.Row{txRow("a", 1)}); !errors.Is(err, task.ErrReadOnly) {
			w.Errorf("CreateTx in a read-only transaction: %v", err)
		}
		w.holds("after all that", nil, nil)
	})
}

// A transaction commits a row long after its due time, when the low bound has passed it: the bound is lowered.
func TestTheLowBoundIsLoweredForALateCommit(t *testing.T) {
	eachTxKind(t, func(w txWorld) {
		ctx := w.Context()
		now := time.Now().UnixMilli()
		tx := w.begin()
		late := txRow("late", 1)
		late.NextMS = now - 60_000
		w.must(w.CreateTx(ctx, tx, []task.Row{late}))
		w.must(w.Advance(ctx, now))
		w.must(tx.Commit())
		if rows, err := w.Scan(ctx, task.Cursor{}, now, 10, 0); err != nil || len(rows) != 0 {
			w.Fatalf("the low bound hides nothing: Scan answered %d rows, %v", len(rows), err)
		}
		w.must(w.HoldBound(ctx, late.NextMS))
		w.must(w.Advance(ctx, now))
		if rows, err := w.Scan(ctx, task.Cursor{}, now, 10, 0); err != nil || len(rows) != 1 {
			w.Errorf("after HoldBound, Scan answered %d rows, %v", len(rows), err)
		}
	})
}

// A task that others move again and again, to earlier times too, is locked all the same.
func TestATaskThatIsMovedIsLocked(t *testing.T) {
	eachTxKind(t, func(w txWorld) {
		w.must(w.Create(w.Context(), []task.Row{txRow("a", 1)}))
		ctx, stop := context.WithCancel(w.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ver := int64(1); ctx.Err() == nil; ver++ {
				to := txRow("a", ver+1)
				to.NextMS = 1000 + ver%7
				if moved, err := w.Move(ctx, task.Ref{ID: "a", Ver: ver}, to); err == nil && !moved {
					ver--
				}
			}
		}()
		locked := 0
		for range 20 {
			tx := w.begin()
			rows, err := w.LockTx(w.Context(), tx, []string{"a"})
			if err == nil && len(rows) == 0 || err != nil && !errors.Is(err, task.ErrUnavailable) {
				w.Errorf("LockTx of a row that exists answered %v, %v", rows, err)
			}
			if locked += len(rows); len(rows) > 0 && !rows[0].Committed {
				w.Errorf("LockTx took %+v for a version of its own transaction", rows[0])
			}
			w.must(tx.Rollback())
		}
		stop()
		<-done
		if locked == 0 {
			w.Error("no look has locked the row")
		}
	})
}
