package durabletest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

func dropTellsWhatItWas(t *testing.T, s durable.Store) {
	a, b := row("a", 10, "payload"), row("b", 20, "")
	create(t, s, a, b)
	for _, due := range []int64{30, 5} {
		to := task.Row{Ref: task.Ref{ID: "a", Ver: rand.Int64()}, DueMS: due}
		if ok, err := s.Move(t.Context(), a.Ref, to); !ok || err != nil {
			t.Fatalf("Move answered %v, %v", ok, err)
		}
		to.PrevVer = a.Ver
		a = to
	}
	got, err := s.Drop(t.Context(), []string{"a", "absent", "b"})
	if err != nil || !sameDropped(got, []task.Row{a, b}) {
		t.Errorf("Drop answered%s, %v; want%s", short(got), err, short([]task.Row{a, b}))
	}
	if left := get(t, s, "a", "b"); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	create(t, s, row("a", 10, ""))
	if r := get(t, s, "a")["a"]; r.PrevVer != 0 {
		t.Errorf("a row that was created anew has the version %d before it", r.PrevVer)
	}
	if got, err := s.Drop(t.Context(), nil); len(got) != 0 || err != nil {
		t.Errorf("Drop of nothing answered %v, %v", got, err)
	}
}

// A row that others move, to earlier and later times, is dropped all the same, once,
// in the version that stood.
func dropMeetsMovers(t *testing.T, s durable.Store) {
	for round := range 5 {
		all := rows(20, func(i int) int64 { return int64(1000 + i) })
		create(t, s, all...)
		ids := make([]string, len(all))
		for i, r := range all {
			ids[i] = r.ID
		}
		var wg sync.WaitGroup
		last := make([]task.Ref, len(all))
		for i, r := range all {
			wg.Go(func() {
				last[i] = r.Ref
				for range 30 { // for ever, and nobody else would come to it
					to := task.Row{Ref: task.Ref{ID: r.ID, Ver: rand.Int64()}, DueMS: rand.Int64N(2000)}
					moved, err := s.Move(t.Context(), last[i], to)
					if errors.Is(err, task.ErrUnavailable) {
						continue // the same
					}
					if err != nil {
						t.Errorf("Move: %v", err)
					}
					if !moved || err != nil {
						return
					}
					last[i] = to.Ref
				}
			})
		}
		got := make([][]task.Row, 2)
		for k := range got {
			wg.Go(func() {
				err := task.ErrUnavailable
				for errors.Is(err, task.ErrUnavailable) && len(task.Unsure(err)) == 0 { // a deadlock too many: nothing was dropped
					got[k], err = s.Drop(t.Context(), ids)
				}
				if err != nil {
					t.Errorf("Drop: %v", err)
				}
			})
		}
		wg.Wait()
		dropped := map[task.Ref]int{}
		for _, r := range slices.Concat(got...) {
			dropped[r.Ref]++
		}
		for i, ref := range last {
			if dropped[ref] != 1 || len(dropped) != len(all) {
				t.Fatalf("round %d: row %d was %+v at last, dropped were %v", round, i, ref, dropped)
			}
		}
	}
}
