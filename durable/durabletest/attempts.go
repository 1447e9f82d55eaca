package durabletest

import (
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// raiseAttempts raises rows by different amounts in one call. What is not lower, what was moved, and what does not exist
// stays as it is, and so does the rest of each row.
func raiseAttempts(t *testing.T, s durable.Store) {
	all := rows(1500, func(i int) int64 { return int64(i % 7) })
	for i := range all {
		all[i].Attempt = i % 5
	}
	all[3].Payload, all[3].Size, all[3].Headers = []byte("payload"), 7+len(`{"k":"v"}`), `{"k":"v"}`
	create(t, s, all...)
	moved := all[4]
	moved.Ver, moved.NextMS, moved.Attempt = 99, 50, 1
	if ok, err := s.Move(t.Context(), all[4].Ref, moved); !ok || err != nil {
		t.Fatalf("Move answered %v, %v", ok, err)
	}
	counts := []task.Attempts{{Ref: task.Ref{ID: "absent", Ver: 1}, Attempt: 9}}
	for i, r := range all {
		counts = append(counts, task.Attempts{Ref: r.Ref, Attempt: 1 + i%3})
	}
	lower := 0
	for i, r := range all {
		if i != 4 && r.Attempt < 1+i%3 {
			lower++
		}
	}
	for _, want := range []int{lower, 0} { // a repeated one changes nothing
		if raised, err := s.RaiseAttempts(t.Context(), counts); raised != want || err != nil {
			t.Fatalf("RaiseAttempts: raised %d, %v; want %d", raised, err, want)
		}
		ids := make([]string, len(all))
		for i, r := range all {
			ids[i] = r.ID
		}
		found := get(t, s, ids...)
		for i, want := range all {
			if i == 4 {
				want = moved
				want.PrevVer = all[4].Ver
			} else {
				want.Attempt = max(want.Attempt, 1+i%3)
			}
			if got := found[want.ID]; !same(got, want) {
				t.Fatalf("row %d is %+v, want %+v", i, got, want)
			}
		}
	}
	if n, exact, err := s.Count(t.Context(), 10_000); n != int64(len(all)) || !exact || err != nil {
		t.Errorf("Count answered %d, %t, %v, want %d rows", n, exact, err, len(all))
	}
	if raised, err := s.RaiseAttempts(t.Context(), nil); raised != 0 || err != nil {
		t.Errorf("RaiseAttempts of nothing: raised %d, %v", raised, err)
	}
}
