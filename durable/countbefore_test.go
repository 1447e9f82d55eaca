package durable_test

import (
	"fmt"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// InnoDB estimates no range at more than half of the table, and looks into no index that a statement forces. The estimates
// of CountBefore are near the truth for small ranges, for large ones and for the
// whole table. MariaDB has answered 2,008 for 1,000.
func TestEstimatesOfRanges(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		db := testserver.Shared(t, kind).DB(t, "")
		s := migrated(t, db)
		const all = 5000
		rows := make([]task.Row, all)
		for i := range rows {
			rows[i] = task.Row{Ref: task.Ref{ID: fmt.Sprint(i), Ver: 1}, NextMS: int64(i), Payload: make([]byte, 100)}
		}
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "ANALYZE TABLE t_task")
		for _, from := range []int64{0, 100, 4000} {
			before := []int64{from + 5, from + 300, from + 700, 4900, task.MaxDue}
			got, err := s.CountBefore(t.Context(), from, before, 10)
			if err != nil || got[0] != (task.Count{N: 5, Exact: true}) {
				t.Fatalf("CountBefore from %d: %v, %v; want exactly 5 and estimates", from, got, err)
			}
			for i, c := range got[1:] {
				is := min(before[i+1], all) - from
				if c.Exact || c.N < is*2/3 || c.N > is*5/2 {
					t.Errorf("from %d before %d: %+v, want an estimate near %d", from, before[i+1], c, is)
				}
			}
		}
		checkSteps(t, s)
	})
}

// checkSteps asks for 40 times at once. What lies between two of them is near the truth too, so that a histogram can be drawn of it.
func checkSteps(t *testing.T, s durable.Store) {
	t.Helper()
	var before []int64
	for ms := int64(100); ms <= 4000; ms += 100 {
		before = append(before, ms)
	}
	got, err := s.CountBefore(t.Context(), 0, before, 10)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.CountBefore(t.Context(), 0, []int64{task.MaxDue}, 10)
	if err != nil || whole[0].N < 3300 || whole[0].N > 12500 {
		t.Errorf("all rows at once: %v, %v, want an estimate near 5000", whole, err)
	}
	last := int64(0)
	for i, c := range got {
		if n := c.N - last; c.Exact || n < 60 || n > 250 {
			t.Errorf("from %d before %d: %d more, want an estimate near 100", before[i]-100, before[i], n)
		}
		last = c.N
	}
}
