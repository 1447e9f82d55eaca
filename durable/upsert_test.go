package durable_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// far gives rows a time that is not below the low bound, which takes statements of its own.
func far(rows []task.Row) []task.Row {
	for i := range rows {
		rows[i].NextMS = task.MaxDue - int64(i)
	}
	return rows
}

// again returns rows of the same ids in versions, and with payloads, of their own.
func again(rows []task.Row) []task.Row {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Ver = task.NewVer()
		rows[i].Payload = fmt.Append(nil, rows[i].Ver)
		rows[i].Size = len(rows[i].Payload)
	}
	return rows
}

// Whatever statement the connection is lost at, before or after the server has done it, each Upsert tells what it did.
func TestALostAnswerDoesNotMakeAnUpsertLie(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		for n, at := range []string{"BEGIN", "INSERT", "SELECT", "COMMIT"} {
			for _, before := range []bool{true, false} {
				rows, _ := numbered(1100 + n)
				rows = far(rows)
				for i := range rows {
					rows[i].ID = fmt.Sprintf("%s-%v-%d", at, before, i)
				}
				upsertLies(t, s, w, rows, fmt.Sprintf("%s, before=%v", at, before), func() { w.loseOnce(at, before) })
			}
		}
	})
}

func upsertLies(t *testing.T, s *durable.MySQL, w *wire, rows []task.Row, what string, lose func()) {
	t.Helper()
	check := func(on task.OnConflict, rows []task.Row, want task.UpsertOutcome, was []task.Row) {
		t.Helper()
		lose()
		done, err := s.Upsert(t.Context(), rows, on)
		w.mend()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i, d := range done {
			if d.Outcome != want || was != nil && d.Was != was[i].Ref {
				t.Fatalf("%s: row %d was %s, before %v; want %s", what, i, d.Outcome, d.Was, want)
			}
		}
	}
	fresh := again(rows)
	check(task.Keep, rows, task.Created, nil)
	check(task.Keep, fresh, task.Kept, nil)
	check(task.Debounce, fresh[:3], task.Replaced, rows[:3])
	check(task.Replace, fresh[3:], task.Replaced, rows[3:])
	refs := make([]task.Ref, len(fresh))
	for i, r := range fresh {
		refs[i] = r.Ref
	}
	if deleted, err := s.Delete(t.Context(), refs); err != nil || slices.Contains(deleted, false) {
		t.Errorf("%s: not each row has the version that it was given last, %v", what, err)
	}
}

// The answer to a COMMIT is lost. What of the rows is done or moved before the next try stays so, and the Upsert tells
// what its first try did.
func TestARepeatedUpsertBringsNothingBack(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		other := open(t, w.open(t))
		rows, refs := numbered(4)
		rows = far(rows)
		if err := s.Create(t.Context(), rows[:1]); err != nil {
			t.Fatal(err)
		}
		fresh := again(rows)
		commits, moved := 0, task.Row{Ref: task.Ref{ID: refs[2].ID, Ver: 5}, NextMS: task.MaxDue}
		w.hold = func(c call) error {
			if c.stmt == "COMMIT" {
				commits++
			}
			if commits != 1 || !strings.HasPrefix(c.stmt, "SELECT id") && !strings.HasPrefix(c.stmt, "INSERT") { // the first statement of the next try
				return nil
			}
			commits = 2
			_, err := other.Delete(t.Context(), []task.Ref{fresh[3].Ref})
			_, wrong := other.Move(t.Context(), fresh[2].Ref, moved)
			return errors.Join(err, wrong)
		}
		w.loseOnce("COMMIT", false)
		done, err := s.Upsert(t.Context(), fresh, task.Debounce)
		want := []task.UpsertOutcome{task.Replaced, task.Created, task.Created, task.Created}
		if err != nil || !slices.EqualFunc(done, want, func(d task.Upserted, o task.UpsertOutcome) bool { return d.Outcome == o }) || done[0].Was != refs[0] {
			t.Errorf("Upsert: %+v, %v; want %v", done, err, want)
		}
		got, err := s.Versions(t.Context(), ids(refs))
		slices.SortFunc(got, func(a, b task.Ref) int { return strings.Compare(a.ID, b.ID) })
		if want := []task.Ref{fresh[0].Ref, fresh[1].Ref, moved.Ref}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v stand, %v; want %v", got, err, want)
		}
	})
}

// An Upsert that fails after a COMMIT whose answer was lost names the versions that it may have replaced, and no others.
func TestAFailedUpsertNamesWhatItMayHaveReplaced(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		rows, refs := numbered(3)
		rows = far(rows)
		if err := s.Create(t.Context(), rows[:2]); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"INSERT", "COMMIT"} { // in this order, because the COMMIT takes effect
			var want []task.Ref
			if at == "COMMIT" {
				want = refs[:2]
			}
			w.cut(at)
			_, err := s.Upsert(t.Context(), again(rows), task.Debounce)
			w.mend()
			got := task.Unsure(err)
			slices.SortFunc(got, func(a, b task.Ref) int { return cmp.Compare(a.ID, b.ID) })
			if err == nil || !slices.Equal(got, want) {
				t.Errorf("lost at %s: it is unsure of %v, want %v: %v", at, got, want, err)
			}
			if found, err := s.Versions(t.Context(), ids(refs)); err != nil || slices.Contains(found, refs[0]) == (at == "COMMIT") {
				t.Errorf("lost at %s: %v stand, %v", at, found, err)
			}
		}
	})
}
