package durable_test

import (
	"testing"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A statement that names most rows of a table still goes by their ids: a scan of
// the whole table would wait for rows that others hold, and deadlock with others'
// deletions.
func TestLargeDeletesOfASmallTableGoByID(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		db := w.open(t)
		rows, refs := numbered(2000)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("ANALYZE TABLE t_task"); err != nil {
			t.Fatal(err)
		}
		w.take()
		absent := append([]task.Ref{{ID: "absent", Ver: 1}}, refs[:999]...)
		if _, err := s.Delete(t.Context(), absent); err != nil {
			t.Fatal(err)
		}
		sent := w.take()
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		for _, c := range sent {
			if len(c.args) == 0 {
				continue
			}
			for _, p := range explain(t, db, c) {
				if ofTasks(p) && p.key != "id" {
					t.Errorf("%.60s of 1000 of 2000 rows goes by %q, want id", c.stmt, p.key)
				}
			}
		}
	})
}
