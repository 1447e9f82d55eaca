package durable_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A deletion that fails names the rows that it may have deleted, and has: its caller, which goes
// on trying, meets no rows then.
func TestAFailedDeleteNamesWhatItMayHaveDeleted(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows, refs := numbered(1500)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		ghost := task.Ref{ID: "ghost", Ver: 7}
		for name, c := range map[string]struct {
			refs []task.Ref
			at   string // the connection is lost after that statement, and each other one before its
			want []task.Ref
		}{
			"one":                 {refs[:1], "DELETE", refs[:1]},
			"few":                 {refs[1:10], "DELETE", refs[1:10]},
			"few, not all":        {append(slices.Clone(refs[10:20]), ghost), "COMMIT", refs[10:20]},
			"some":                {refs[1395:1446], "COMMIT", refs[1395:1446]},
			"some, not all":       {append(slices.Clone(refs[20:80]), ghost), "COMMIT", refs[20:80]},
			"some, not committed": {refs[1446:1499], "DELETE", nil},
			"of two statements":   {refs[100:1390], "COMMIT", refs[100:1100]},
		} {
			t.Run(name, func(t *testing.T) {
				w.cut(c.at)
				_, err := s.Delete(t.Context(), c.refs)
				w.mend()
				if err == nil {
					t.Fatal("Delete succeeded")
				}
				got := task.Unsure(err)
				slices.SortFunc(got, func(a, b task.Ref) int { return strings.Compare(a.ID, b.ID) })
				if !slices.Equal(got, c.want) {
					t.Errorf("it is unsure of %d refs, want %d: %v", len(got), len(c.want), err)
				}
			})
		}
	})
}

// A deletion that never reached the server, of a row that was moved before the next
// try, has not deleted it.
func TestADeletionThatWasLostDoesNotCountWhatWasMoved(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		other := open(t, w.open(t))
		for n, at := range map[int]string{1: "DELETE", 10: "DELETE", 60: "COMMIT"} {
			rows, refs := numbered(n)
			to := task.Row{Ref: task.Ref{ID: refs[0].ID, Ver: 5}, NextMS: 99}
			for act, call := range map[string]func() (bool, error){
				"Delete": func() (bool, error) {
					deleted, err := s.Delete(t.Context(), refs)
					return err == nil && !deleted[0] && !slices.Contains(deleted[1:], false), err
				},
				"DeleteByID": func() (bool, error) {
					deleted, err := s.DeleteByID(t.Context(), ids(refs), task.MaxDue)
					return len(deleted) == n && slices.ContainsFunc(deleted, func(r task.Row) bool { return r.Ref == to.Ref && r.PrevVer == refs[0].Ver }), err
				},
			} {
				if err := s.Create(t.Context(), rows); err != nil {
					t.Fatal(err)
				}
				w.loseThen(at, func() {
					if moved, err := other.Move(t.Context(), refs[0], to); !moved || err != nil {
						t.Errorf("Move: %v, %v", moved, err)
					}
				})
				if ok, err := call(); !ok || err != nil {
					t.Errorf("%s of %d, of which one was moved: as it should be: %t, %v", act, n, ok, err)
				}
				w.mend()
				if _, err := s.DeleteByID(t.Context(), ids(refs), task.MaxDue); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// loseThen loses one connection before a statement with that beginning, and does
// something before the next statement is sent.
func (w *wire) loseThen(prefix string, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost, done := false, false
	w.lose = func(s call) (bool, bool) {
		switch {
		case !lost && strings.HasPrefix(s.stmt, prefix):
			lost = true
			return true, false
		case lost && !done:
			done = true
			f()
		}
		return false, false
	}
}

// A DeleteByID does the same, although its caller knows no versions: the error names them, and the previous
// versions too.
func TestAFailedDeletionByIDNamesWhatItMayHaveDeleted(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows, refs := numbered(1500)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		to := task.Row{Ref: task.Ref{ID: refs[0].ID, Ver: 5}, NextMS: 3}
		if moved, err := s.Move(t.Context(), refs[0], to); !moved || err != nil {
			t.Fatalf("Move: %v, %v", moved, err)
		}
		for name, c := range map[string]struct {
			ids  []string
			at   string // the connection is lost after that statement, and each other one before its
			want []task.Ref
		}{
			"one":                 {ids(refs[:1]), "DELETE", []task.Ref{refs[0], to.Ref}},
			"few":                 {ids(refs[1:10]), "DELETE", refs[1:10]},
			"some":                {ids(refs[1395:1446]), "COMMIT", refs[1395:1446]},
			"some, not all":       {append(ids(refs[20:80]), "ghost"), "COMMIT", refs[20:80]},
			"some, not committed": {ids(refs[1446:1499]), "DELETE", nil},
			"of two statements":   {ids(refs[100:1390]), "COMMIT", refs[100:1100]},
		} {
			t.Run(name, func(t *testing.T) {
				w.cut(c.at)
				_, err := s.DeleteByID(t.Context(), c.ids, task.MaxDue)
				w.mend()
				if err == nil {
					t.Fatal("DeleteByID succeeded")
				}
				got := task.Unsure(err)
				slices.SortFunc(got, func(a, b task.Ref) int { return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(b.Ver, a.Ver)) })
				if !slices.Equal(got, c.want) {
					t.Errorf("it is unsure of %v, want %v: %v", got, c.want, err)
				}
			})
		}
	})
}

// A deletion of few rows whose answer was lost had deleted all or none. If the next try finds a row, it was none, so a
// row that never existed does not count as deleted.
func TestALostDeletionOfFewDoesNotCountWhatNeverWas(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows, refs := numbered(5)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		w.loseThen("DELETE", func() {})
		deleted, err := s.Delete(t.Context(), append(slices.Clone(refs), task.Ref{ID: "ghost", Ver: 7}))
		w.mend()
		if err != nil || !slices.Equal(deleted, []bool{true, true, true, true, true, false}) {
			t.Errorf("Delete of 5 rows and one that never was answered %v, %v", deleted, err)
		}
	})
}
