package durabletest

import (
	"slices"
	"sync"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// moveManyMovesEach: each row is moved to its own time, or stays if it has another version; a repeat answers the same.
func moveManyMovesEach(t *testing.T, s durable.Store) {
	a, b, c := headed(row("a", 10, "payload"), `{"k":"v"}`), row("b", 10, "other"), row("c", 30, "")
	a.Attempt, a.ExpiresMS = 4, 99
	create(t, s, a, b, c)
	moves := []task.Move{{Ref: c.Ref, To: 301, DueMS: 3}, {Ref: task.Ref{ID: "b", Ver: b.Ver + 7}, To: 302, DueMS: 5},
		{Ref: task.Ref{ID: "absent", Ver: 9}, To: 303, DueMS: 6}, {Ref: a.Ref, To: 304, DueMS: 40}}
	for _, try := range []string{"first", "repeated"} {
		if got, err := s.MoveMany(t.Context(), moves); err != nil || !slices.Equal(got, []bool{true, false, false, true}) {
			t.Fatalf("%s MoveMany answered %v, %v; want the first and the last moved", try, got, err)
		}
	}
	a.Ver, a.PrevVer, a.NextMS, a.DueMS, a.Attempt = 304, a.Ver, 40, 40, 0
	c.Ver, c.PrevVer, c.NextMS, c.DueMS, c.Attempt = 301, c.Ver, 3, 3, 0
	for id, got := range get(t, s, "a", "b", "c", "absent") {
		if want := map[string]task.Row{"a": a, "b": b, "c": c}[id]; !same(got, want) {
			t.Errorf("row %q is %+v, want %+v", id, got, want)
		}
	}
	var order []string
	for _, r := range scanAll(t, s, 100) {
		order = append(order, r.ID)
	}
	if !slices.Equal(order, []string{"c", "b", "a"}) {
		t.Errorf("a scan finds %q, want each row at its new time, once", order)
	}
	if got, err := s.MoveMany(t.Context(), nil); len(got) != 0 || err != nil {
		t.Errorf("MoveMany of nothing answered %v, %v", got, err)
	}
}

// moveManyRows: more rows than a statement takes, in no order, and some of them gone: the answers are in the order of the moves.
func moveManyRows(t *testing.T, s durable.Store) {
	all := rows(600, func(i int) int64 { return int64(1000 + i) })
	create(t, s, all...)
	var gone []task.Ref
	moves := make([]task.Move, len(all))
	for i, r := range all {
		moves[len(all)-1-i] = task.Move{Ref: r.Ref, To: task.NewVer(), DueMS: 5000 - 2*r.NextMS}
		if i%97 == 5 {
			gone = append(gone, r.Ref)
		}
	}
	if _, err := s.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	moved, err := s.MoveMany(t.Context(), moves)
	if err != nil || len(moved) != len(moves) {
		t.Fatalf("MoveMany: %d answers, %v", len(moved), err)
	}
	for i, mv := range moves {
		if moved[i] == slices.Contains(gone, mv.Ref) {
			t.Errorf("the move of %q was answered %t", mv.ID, moved[i])
		}
	}
	left := map[string]task.Row{}
	for _, r := range scanAll(t, s, 100) {
		left[r.ID] = r
	}
	for i, mv := range moves {
		if r, ok := left[mv.ID]; ok != moved[i] || ok && (r.Ver != mv.To || r.PrevVer != mv.Ver || r.NextMS != mv.DueMS || r.DueMS != mv.DueMS) {
			t.Errorf("%q was moved by %+v, %t, and is %+v", mv.ID, mv, moved[i], r)
		}
	}
}

// oneMoverWins: of calls that move the same rows at the same time one moves each row.
func oneMoverWins(t *testing.T, s durable.Store) {
	all := rows(60, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var movers sync.WaitGroup
	var mu sync.Mutex
	by := map[string]int{}
	for range 4 {
		moves := make([]task.Move, len(all))
		for i, r := range all {
			moves[i] = task.Move{Ref: r.Ref, To: task.NewVer(), DueMS: 7}
		}
		movers.Go(func() {
			moved, err := s.MoveMany(t.Context(), moves)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("MoveMany: %v", err)
			}
			for i, is := range moved {
				if is {
					by[moves[i].ID]++
				}
			}
		})
	}
	movers.Wait()
	for _, r := range all {
		if by[r.ID] != 1 {
			t.Errorf("%q was moved %d times", r.ID, by[r.ID])
		}
	}
}
