package durabletest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

func upsert(t *testing.T, s durable.Store, on task.OnConflict, rows ...task.Row) []task.Upserted {
	t.Helper()
	done, err := s.Upsert(t.Context(), rows, on)
	if err != nil || len(done) != len(rows) {
		t.Fatalf("Upsert of %d rows returned %d answers, %v", len(rows), len(done), err)
	}
	return done
}

func headed(r task.Row, headers string) task.Row {
	r.Headers = headers
	r.Size = r.Bytes()
	return r
}

func replaceSetsEverything(t *testing.T, s durable.Store) {
	a := headed(row("a", 10, "payload"), `{"k":"v"}`)
	create(t, s, a, row("b", 10, "other"))
	to := headed(row("a", 99, "new"), `{"n":"w"}`)
	to.CreatedMS = 0
	for _, try := range []string{"first", "repeated"} {
		if ok, err := s.Replace(t.Context(), a.Ref, to); !ok || err != nil {
			t.Fatalf("%s Replace answered %v, %v", try, ok, err)
		}
	}
	want := to
	want.PrevVer, want.CreatedMS = a.Ver, a.CreatedMS
	if got := get(t, s, "a")["a"]; !same(got, want) {
		t.Errorf("replaced row is %+v, want %+v", got, want)
	}
	if ok, err := s.Replace(t.Context(), a.Ref, row("a", 1, "late")); ok || err != nil {
		t.Errorf("Replace of an old version answered %v, %v", ok, err)
	}
	empty := row("a", 5, "")
	if ok, err := s.Replace(t.Context(), to.Ref, empty); !ok || err != nil {
		t.Errorf("Replace by a row without payload and headers answered %v, %v", ok, err)
	}
	if got := get(t, s, "a")["a"]; got.Size != 0 || got.Payload != nil || got.Headers != "" {
		t.Errorf("a row that was replaced by an empty one is %+v", got)
	}
	long := headed(row("a", 1, ""), string(make([]byte, task.MaxHeaders+1)))
	if ok, err := s.Replace(t.Context(), empty.Ref, long); ok || !errors.Is(err, task.ErrTooLarge) {
		t.Errorf("Replace with headers that are too long answered %v, %v; want ErrTooLarge", ok, err)
	}
}

// upsertOfNewRows: in each mode an Upsert of ids that do not exist is a Create.
func upsertOfNewRows(t *testing.T, s durable.Store) {
	for _, on := range []task.OnConflict{task.Keep, task.Replace, task.Earliest, task.Debounce} {
		a, b := headed(row(fmt.Sprint("a", on), 10, "payload"), `{"k":"v"}`), row(fmt.Sprint("b", on), 5, "")
		first := upsert(t, s, on, b, a)
		again := upsert(t, s, on, b, a) // the same versions: the first was an earlier try of the same call
		stored := get(t, s, a.ID, b.ID)
		for i, want := range []task.Row{b, a, b, a} {
			if d := append(first, again...)[i]; d.Outcome != task.Created || !same(d.Row, want) || d.Was != (task.Ref{}) || !same(stored[want.ID], want) {
				t.Errorf("mode %d: Upsert of a new row answered %+v, and stored %+v; want %+v", on, d, stored[want.ID], want)
			}
		}
	}
	if done, err := s.Upsert(t.Context(), nil, task.Keep); err != nil || len(done) != 0 {
		t.Errorf("Upsert of nothing: %v, %v", done, err)
	}
	for _, on := range []task.OnConflict{0, 5} {
		if _, err := s.Upsert(t.Context(), []task.Row{row("c", 1, "")}, on); !errors.Is(err, task.ErrInvalid) {
			t.Errorf("Upsert in mode %d: %v, want ErrInvalid", on, err)
		}
	}
	if n := len(get(t, s, "c")); n != 0 {
		t.Errorf("an Upsert that was refused has stored %d rows", n)
	}
}

// upsertOfStoredRows: what each mode does with a row that exists, due earlier and later than the new one.
func upsertOfStoredRows(t *testing.T, s durable.Store) {
	for _, c := range []struct {
		on      task.OnConflict
		nextMS  int64 // of the new row; the stored one has 100
		want    task.UpsertOutcome
		payload string
		next    int64
		attempt int
	}{
		{task.Keep, 50, task.Kept, "old", 100, 3},
		{task.Replace, 50, task.Replaced, "new", 100, 3},
		{task.Replace, 150, task.Replaced, "new", 100, 3},
		{task.Earliest, 50, task.Replaced, "old", 50, 3},
		{task.Earliest, 100, task.Kept, "old", 100, 3},
		{task.Earliest, 150, task.Kept, "old", 100, 3},
		{task.Debounce, 50, task.Replaced, "new", 50, 1},
		{task.Debounce, 150, task.Replaced, "new", 150, 1},
		{task.Debounce, 100, task.Replaced, "new", 100, 1},
	} {
		id := fmt.Sprintf("%d to %d", c.on, c.nextMS)
		old, fresh := headed(row(id, 100, "old"), `{"old":"1"}`), headed(row(id, c.nextMS, "new"), `{"new":"1"}`)
		fresh.Attempt, fresh.CreatedMS, fresh.ExpiresMS, old.ExpiresMS = 1, 9, 500, 400
		create(t, s, old)
		want := old
		if c.want == task.Replaced {
			want.PrevVer, want.Ver, want.NextMS, want.DueMS, want.Attempt = old.Ver, fresh.Ver, c.next, c.next-1, c.attempt
			want.Payload, want.Headers = []byte(c.payload), `{"`+c.payload+`":"1"}`
			if c.on == task.Debounce {
				want.ExpiresMS = 500
			}
		}
		for _, try := range []string{"first", "repeated"} { // the same versions: an earlier try of the same call
			d := upsert(t, s, c.on, fresh)[0]
			got := get(t, s, id)[id]
			if d.Outcome != c.want || !same(got, want) {
				t.Errorf("%s, %s: %s, and stored is %+v; want %s and %+v", id, try, d.Outcome, got, c.want, want)
			}
			if c.want == task.Replaced && (d.Was != old.Ref || d.Row.Ref != fresh.Ref || d.Row.NextMS != c.next || d.Row.Size != want.Size) {
				t.Errorf("%s, %s: was %v, and is %+v; want %v and %+v", id, try, d.Was, d.Row, old.Ref, want)
			}
		}
	}
}

// replaceByTheSameKeeps: a Replace with the payload and headers that a row has changes nothing, as a repeated call of a producer.
func replaceByTheSameKeeps(t *testing.T, s durable.Store) {
	for _, old := range []task.Row{headed(row("a", 100, "x"), `{"k":"v"}`), row("b", 100, "x"), row("c", 100, ""), headed(row("d", 100, ""), `{"k":"v"}`)} {
		create(t, s, old)
		same := old
		same.Ver, same.NextMS, same.ExpiresMS = row("", 0, "").Ver, 50, 900
		if d := upsert(t, s, task.Replace, same)[0]; d.Outcome != task.Kept || get(t, s, old.ID)[old.ID].Ref != old.Ref {
			t.Errorf("Replace of %+v by the same: %s, and stored is %+v", old, d.Outcome, get(t, s, old.ID)[old.ID])
		}
		for _, other := range []task.Row{headed(row(old.ID, 100, string(old.Payload)), `{"k":"w"}`), row(old.ID, 100, "y")} {
			other.PrevVer = get(t, s, old.ID)[old.ID].PrevVer
			if d := upsert(t, s, task.Replace, other)[0]; d.Outcome != task.Replaced {
				t.Errorf("Replace of %+v by %+v: %s", old, other, d.Outcome)
			}
		}
	}
}

// upsertAsksForThePreviousVersion: a row has one previous version at most. An Upsert that would lose it stores nothing.
func upsertAsksForThePreviousVersion(t *testing.T, s durable.Store) {
	a, b := row("a", 10, "a"), row("b", 10, "b")
	create(t, s, a, b)
	for _, r := range []*task.Row{&a, &b} {
		to := row(r.ID, 20, "")
		if ok, err := s.Move(t.Context(), r.Ref, to); !ok || err != nil {
			t.Fatalf("Move answered %v, %v", ok, err)
		}
		*r = get(t, s, r.ID)[r.ID]
	}
	first, second, third := row("a", 5, "x"), row("b", 5, "x"), row("c", 5, "x")
	for _, on := range []task.OnConflict{task.Replace, task.Earliest, task.Debounce} {
		var prev *task.PrevError
		_, err := s.Upsert(t.Context(), []task.Row{third, second, first}, on)
		if !errors.As(err, &prev) || !sameRefs(prev.Refs, []task.Ref{{ID: "a", Ver: a.PrevVer}, {ID: "b", Ver: b.PrevVer}}) {
			t.Fatalf("mode %d: Upsert over moved rows: %v, want a PrevError that names both", on, err)
		}
		if got := get(t, s, "a", "b", "c"); len(got) != 2 || !same(got["a"], a) || !same(got["b"], b) {
			t.Errorf("mode %d: an Upsert that was refused has stored %+v", on, got)
		}
	}
	if d := upsert(t, s, task.Keep, first)[0]; d.Outcome != task.Kept {
		t.Errorf("Upsert that keeps a moved row: %s", d.Outcome)
	}
	later := row("a", 500, "x")
	if d := upsert(t, s, task.Earliest, later)[0]; d.Outcome != task.Kept {
		t.Errorf("Upsert of a later time over a moved row: %s, want kept", d.Outcome)
	}
	first.PrevVer, second.PrevVer = a.PrevVer, b.PrevVer
	for i, d := range upsert(t, s, task.Debounce, third, second, first) {
		want := [...]task.Row{third, second, first}[i]
		want.PrevVer, want.CreatedMS = [...]int64{0, b.Ver, a.Ver}[i], 7
		if got := get(t, s, want.ID)[want.ID]; !same(got, want) || d.Was.Ver != want.PrevVer {
			t.Errorf("Upsert that knows the previous versions stored %+v and answered %+v, want %+v", got, d, want)
		}
	}
}

func sameRefs(a, b []task.Ref) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r task.Ref) bool { return !slices.Contains(b, r) })
}

// upsertMany: more rows than a statement takes are one transaction.
func upsertMany(t *testing.T, s durable.Store) {
	all := rows(1500, func(i int) int64 { return int64(1500 - i) })
	create(t, s, all[:700]...)
	fresh := rows(1500, func(i int) int64 { return int64(i) })
	n := map[task.UpsertOutcome]int{}
	for i, d := range upsert(t, s, task.Debounce, fresh...) {
		n[d.Outcome]++
		if (d.Outcome == task.Replaced) != (i < 700) || d.Row.Ref != fresh[i].Ref {
			t.Fatalf("row %d: %+v", i, d)
		}
	}
	stored := scanAll(t, s, 1000)
	if n[task.Created] != 800 || n[task.Replaced] != 700 || len(stored) != 1500 {
		t.Errorf("%v, and %d rows are stored", n, len(stored))
	}
	if moved, err := s.Move(t.Context(), fresh[1000].Ref, row(fresh[1000].ID, 1, "")); !moved || err != nil {
		t.Fatal(moved, err)
	}
	again := rows(1500, func(int) int64 { return 7 })
	var prev *task.PrevError
	if _, err := s.Upsert(t.Context(), again, task.Replace); !errors.As(err, &prev) || len(prev.Refs) != 701 {
		t.Fatalf("Upsert over rows that were moved: %v, want a PrevError of 701", err)
	}
	if got := scanAll(t, s, 1000); slices.ContainsFunc(got, func(r task.Row) bool { return r.Ver == again[0].Ver }) {
		t.Error("an Upsert that was refused has stored some of its rows")
	}
}

// upsertsMeet: of calls for one new id one creates, and each of the others changes what stands, none twice.
func upsertsMeet(t *testing.T, s durable.Store) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	was, n := map[int64]bool{}, map[task.UpsertOutcome]int{}
	for range 12 {
		wg.Go(func() {
			mine := row("id", task.MaxDue, "") // not below the low bound
			for {
				done, err := s.Upsert(t.Context(), []task.Row{mine}, task.Debounce)
				var prev *task.PrevError
				if errors.As(err, &prev) {
					mine.PrevVer = prev.Refs[0].Ver
					continue
				}
				if err != nil {
					t.Errorf("Upsert: %v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				n[done[0].Outcome]++
				if was[done[0].Was.Ver] {
					t.Errorf("two calls have replaced version %d", done[0].Was.Ver)
				}
				was[done[0].Was.Ver] = true
				return
			}
		})
	}
	wg.Wait()
	if n[task.Created] != 1 || n[task.Replaced] != 11 {
		t.Errorf("%v, want one created and 11 replaced", n)
	}
}
