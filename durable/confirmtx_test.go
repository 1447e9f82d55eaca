package durable_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A row is deleted in one version alone, and only if the transaction commits. What others have deleted or moved since the
// snapshot of the transaction is not met.
func TestConfirmTxDeletesOneVersionIfItCommits(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		db := w.open(t)
		a, b, c := task.Ref{ID: "a", Ver: 1}, task.Ref{ID: "b", Ver: 2}, task.Ref{ID: "c", Ver: 3}
		if err := s.Create(t.Context(), []task.Row{{Ref: a}, {Ref: b}, {Ref: c}}); err != nil {
			t.Fatal(err)
		}
		in := func(level sql.IsolationLevel, f func(tx *sql.Tx)) {
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			var n int
			if err := tx.QueryRow("SELECT COUNT(*) FROM t_task").Scan(&n); err != nil || n == 0 { // the snapshot
				t.Fatalf("%d rows, %v", n, err)
			}
			f(tx)
		}
		confirm := func(tx task.Tx, ref task.Ref, want bool) {
			t.Helper()
			if got, err := s.ConfirmTx(context.Background(), tx, ref); got != want || err != nil {
				t.Errorf("ConfirmTx of %v answered %t, %v, want %t", ref, got, err, want)
			}
		}
		exist := func(want int) {
			t.Helper()
			if refs, err := s.Versions(t.Context(), []string{"a", "b", "c"}); len(refs) != want || err != nil {
				t.Errorf("%d rows exist, %v, want %d", len(refs), err, want)
			}
		}
		for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead} {
			in(level, func(tx *sql.Tx) {
				confirm(tx, task.Ref{ID: "a", Ver: 7}, false)
				confirm(tx, a, true)
				exist(3) // until the commit, and after a rollback
			})
			exist(3)
		}
		in(sql.LevelRepeatableRead, func(tx *sql.Tx) {
			if deleted, err := s.Delete(t.Context(), []task.Ref{b}); err != nil || !deleted[0] {
				t.Fatalf("Delete: %v, %v", deleted, err)
			}
			if moved, err := s.Move(t.Context(), c, task.Row{Ref: task.Ref{ID: "c", Ver: 4}}); err != nil || !moved {
				t.Fatalf("Move: %v, %v", moved, err)
			}
			confirm(tx, b, false)
			confirm(tx, c, false)
		})
		in(sql.LevelRepeatableRead, func(tx *sql.Tx) {
			confirm(tx, a, true)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		})
		exist(1)
	})
}
