package durabletest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

func deleteByIDTellsWhatItWas(t *testing.T, s durable.Store) {
	a, b := row("a", 10, "payload"), row("b", 20, "")
	create(t, s, a, b)
	for _, due := range []int64{30, 5} {
		to := task.Row{Ref: task.Ref{ID: "a", Ver: rand.Int64()}, NextMS: due}
		if ok, err := s.Move(t.Context(), a.Ref, to); !ok || err != nil {
			t.Fatalf("Move answered %v, %v", ok, err)
		}
		to.PrevVer = a.Ver
		a = to
	}
	got, err := s.DeleteByID(t.Context(), []string{"a", "absent", "b"}, task.MaxDue)
	if err != nil || !SameDeleted(got, []task.Row{a, b}) {
		t.Errorf("DeleteByID answered%s, %v; want%s", short(got), err, short([]task.Row{a, b}))
	}
	if left := get(t, s, "a", "b"); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	create(t, s, row("a", 10, ""))
	if r := get(t, s, "a")["a"]; r.PrevVer != 0 {
		t.Errorf("a row that was created anew has the version %d before it", r.PrevVer)
	}
	if got, err := s.DeleteByID(t.Context(), nil, task.MaxDue); len(got) != 0 || err != nil {
		t.Errorf("DeleteByID of nothing answered %v, %v", got, err)
	}
}

// A row that others move, to earlier and later times, is deleted all the same, once,
// in the version that stood; unread at most if it was never moved.
func deleteByIDMeetsMovers(t *testing.T, s durable.Store) {
	for round := range 10 {
		n, aboveMS := 20, task.MaxDue
		if round%2 > 0 {
			n, aboveMS = 60, 0
		}
		all := rows(n, func(i int) int64 { return int64(1000 + i) })
		ids := make([]string, len(all))
		for i, r := range all {
			ids[i] = r.ID
		}
		create(t, s, all...)
		if deleted, err := s.DeleteByID(t.Context(), ids, aboveMS); len(deleted) != n || err != nil { // so that it knows what to expect
			t.Fatalf("DeleteByID of %d rows answered %d, %v", n, len(deleted), err)
		}
		create(t, s, all...)
		var wg sync.WaitGroup
		last := make([][]task.Ref, len(all))
		for i, r := range all {
			last[i] = []task.Ref{r.Ref}
			if i <= 20 {
				wg.Go(func() { last[i] = moveOften(t, s, r.Ref) })
			}
		}
		got, named := make([][]task.Row, 2), make([][]task.Ref, 2)
		for k := range got {
			wg.Go(func() { got[k], named[k] = deleteAllByID(t, s, ids, aboveMS) })
		}
		wg.Wait()
		deleted := countDeleted(all, slices.Concat(got...), slices.Concat(named...), last, aboveMS)
		for i, refs := range last {
			n := 0
			for _, ref := range refs {
				n += deleted[ref]
			}
			if n != 1 || len(deleted) != len(all) {
				t.Fatalf("round %d: row %d was %+v at last, deleted were %v", round, i, refs, deleted)
			}
		}
	}
}

// moveOften moves a row until it is deleted, or 30 times, and returns its last version: two if the
// answer to a move was lost and the row was gone by the next try, because it may have been
// deleted in either. It begins after a moment of random length, so that the deleters come first at times.
func moveOften(t *testing.T, s durable.Store, ref task.Ref) []task.Ref {
	<-time.After(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	for range 30 { // without a bound the deleters might never meet a version that stands
		to := task.Row{Ref: task.Ref{ID: ref.ID, Ver: rand.Int64()}, NextMS: rand.Int64N(2000)}
		unsure := false
		moved, err := s.Move(t.Context(), ref, to)
		for errors.Is(err, task.ErrUnavailable) && !errors.Is(err, task.ErrGone) {
			unsure = unsure || len(task.Unsure(err)) > 0
			moved, err = s.Move(t.Context(), ref, to)
		}
		gone := errors.Is(err, task.ErrGone)
		switch {
		case err != nil && !gone:
			t.Errorf("Move: %v", err)
			return []task.Ref{ref}
		case gone || !moved && unsure:
			return []task.Ref{ref, to.Ref}
		case !moved:
			return []task.Ref{ref}
		}
		ref = to.Ref
	}
	return []task.Ref{ref}
}

// deleteAllByID deletes ids, also after deadlocks, and returns the rows, and the versions that an
// error named as deleted perhaps.
func deleteAllByID(t *testing.T, s durable.Store, ids []string, aboveMS int64) (got []task.Row, named []task.Ref) {
	err := task.ErrUnavailable
	for errors.Is(err, task.ErrUnavailable) {
		got, err = s.DeleteByID(t.Context(), ids, aboveMS)
		named = append(named, task.Unsure(err)...)
	}
	if err != nil {
		t.Errorf("DeleteByID: %v", err)
	}
	return got, named
}

// countDeleted counts how often each version was deleted. What was deleted unread counts as
// the version that was created, and what was only named counts if it was the last version.
func countDeleted(created, got []task.Row, named []task.Ref, last [][]task.Ref, aboveMS int64) map[task.Ref]int {
	first, deleted := map[string]task.Ref{}, map[task.Ref]int{}
	for _, r := range created {
		first[r.ID] = r.Ref
	}
	for _, r := range got {
		if r.Ver == 0 && aboveMS == 0 {
			r.Ref = first[r.ID]
		}
		deleted[r.Ref]++
	}
	for _, ref := range named {
		if slices.Contains(slices.Concat(last...), ref) {
			deleted[ref]++
		}
	}
	return deleted
}

// SameDeleted compares what DeleteByID tells of rows, in any order.
func SameDeleted(got, want []task.Row) bool {
	told := func(rows []task.Row) (all []string) {
		for _, r := range rows {
			all = append(all, fmt.Sprint(r.Ref, r.PrevVer, r.NextMS))
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(told(got), told(want))
}
