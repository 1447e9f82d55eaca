package durable_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/durabletest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// line is what DeleteByID is told in these tests, and farRows are due later than that.
const line = 1_000_000

// farRows returns n rows whose IDs begin so.
func farRows(prefix string, n int) []task.Row {
	rows := make([]task.Row, n)
	for i := range rows {
		rows[i] = task.Row{Ref: task.Ref{ID: fmt.Sprintf("%s-%05d", prefix, i), Ver: 1<<40 + int64(i)}, NextMS: line + 1 + int64(i)}
	}
	return rows
}

func idsOf(rows []task.Row) []string { return ids(refsOf(rows)) }

func refsOf(rows []task.Row) []task.Ref {
	refs := make([]task.Ref, len(rows))
	for i, r := range rows {
		refs[i] = r.Ref
	}
	return refs
}

func mustCreate(t *testing.T, s *durable.MySQL, rows []task.Row) {
	t.Helper()
	if err := s.Create(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
}

// learnFar has the store delete far rows, so that it expects the next rows to be far too.
func learnFar(t *testing.T, s *durable.MySQL) {
	t.Helper()
	rows := farRows("learn", 60)
	mustCreate(t, s, rows)
	if got, err := s.DeleteByID(t.Context(), idsOf(rows), line); len(got) != len(rows) || err != nil {
		t.Fatalf("DeleteByID of %d rows answered %d, %v", len(rows), len(got), err)
	}
}

// unread is what DeleteByID answers of rows that it has not read.
func unread(rows []task.Row) []task.Row {
	all := make([]task.Row, len(rows))
	for i, r := range rows {
		all[i] = task.Row{Ref: task.Ref{ID: r.ID}}
	}
	return all
}

func none(t *testing.T, s *durable.MySQL) {
	t.Helper()
	if n, _, err := s.Count(t.Context(), 10); n != 0 || err != nil {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

// Many far rows are deleted unread once a call has met only far rows. If one of them is not far, or was moved, or is
// absent, all are read before anything is deleted.
func TestFarRowsAreDeletedUnread(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		deleteByID := func(ids []string, above int64, want []task.Row) (selects int) {
			t.Helper()
			w.take()
			got, err := s.DeleteByID(t.Context(), ids, above)
			if err != nil || !durabletest.SameDeleted(got, want) {
				t.Errorf("DeleteByID of %d answered %v, %v; want %v", len(ids), got, err, want)
			}
			none(t, s)
			return len(w.calls("SELECT id, ver"))
		}
		rows := farRows("far", 2500)
		for round, reads := range []int{3, 0, 0} {
			mustCreate(t, s, rows)
			want := unread(rows)
			if round == 0 {
				want = rows
			}
			if n := deleteByID(idsOf(rows), line, want); n != reads {
				t.Errorf("round %d: %d statements read versions, want %d", round, n, reads)
			}
		}
		few := rows[:50]
		mustCreate(t, s, few)
		if n := deleteByID(idsOf(few), line, few); n != 1 {
			t.Errorf("of few %d statements read versions, want 1", n)
		}
		mustCreate(t, s, rows)
		deleteByID(idsOf(rows), task.MaxDue, rows)
		for name, change := range map[string]func(rows []task.Row) (ids []string, want []task.Row){
			"one is near": func(rows []task.Row) ([]string, []task.Row) {
				rows[7].NextMS = line
				mustCreate(t, s, rows)
				return idsOf(rows), rows
			},
			"one is absent": func(rows []task.Row) ([]string, []task.Row) {
				mustCreate(t, s, rows)
				return append(idsOf(rows), "ghost"), rows
			},
			"one was moved": func(rows []task.Row) ([]string, []task.Row) {
				mustCreate(t, s, rows)
				to := task.Row{Ref: task.Ref{ID: rows[9].ID, Ver: 5}, NextMS: line + 5}
				if moved, err := s.Move(t.Context(), rows[9].Ref, to); !moved || err != nil {
					t.Fatalf("Move: %v, %v", moved, err)
				}
				to.PrevVer = rows[9].Ver
				rows[9] = to
				return idsOf(rows), rows
			},
		} {
			learnFar(t, s)
			ids, want := change(farRows("far", 60))
			if n := deleteByID(ids, line, want); n == 0 {
				t.Errorf("%s, and nothing was read", name)
			}
		}
		learnFar(t, s) // of two statements one meets a near row
		rows[1500].NextMS = line
		mustCreate(t, s, rows[:2000])
		deleteByID(idsOf(rows[:2000]), line, append(unread(rows[:1000]), rows[1000:2000]...))
	})
}

// Whatever the connection is lost at, a DeleteByID of far rows tells the truth.
func TestALostDeletionOfFarRowsDoesNotLie(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows := farRows("far", 60)
		for _, at := range []string{"BEGIN", "DELETE", "COMMIT"} {
			for _, before := range []bool{true, false} {
				learnFar(t, s)
				mustCreate(t, s, rows)
				w.loseOnce(at, before)
				got, err := s.DeleteByID(t.Context(), idsOf(rows), line)
				w.mend()
				if err != nil || !durabletest.SameDeleted(got, unread(rows)) {
					t.Errorf("lost at %s, before it: %t: DeleteByID answered %d rows, %v", at, before, len(got), err)
				}
				none(t, s)
			}
		}
	})
}

// A COMMIT of far rows whose answer was lost, with one created anew before the next try:
// that one is read.
func TestALostDeletionOfFarRowsMeetsWhatWasCreatedAnew(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		other := open(t, w.open(t))
		rows := farRows("far", 60)
		learnFar(t, s)
		mustCreate(t, s, rows)
		anew := task.Row{Ref: task.Ref{ID: rows[3].ID, Ver: 77}, NextMS: 5}
		lost, done := false, false
		w.mu.Lock()
		w.lose = func(s call) (bool, bool) {
			if lost && !done {
				done = true
				if err := other.Create(t.Context(), []task.Row{anew}); err != nil {
					t.Errorf("Create: %v", err)
				}
			}
			after := !lost && s.stmt == "COMMIT"
			lost = lost || after
			return false, after
		}
		w.mu.Unlock()
		got, err := s.DeleteByID(t.Context(), idsOf(rows), line)
		w.mend()
		want := append(unread(append(slices.Clone(rows[:3]), rows[4:]...)), anew)
		if err != nil || !durabletest.SameDeleted(got, want) {
			t.Errorf("DeleteByID answered %v, %v", got, err)
		}
		none(t, s)
	})
}

// A DELETE of far rows whose connection was lost has no effect, and a DeleteByID that fails
// names none of them: the hot set need not be told.
func TestAFailedDeletionOfFarRowsDeletesNothingLater(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows := farRows("far", 60)
		for at, left := range map[string]int{"DELETE": 60, "COMMIT": 0} {
			learnFar(t, s)
			mustCreate(t, s, rows)
			w.cut(at)
			_, err := s.DeleteByID(t.Context(), idsOf(rows), line)
			w.mend()
			if err == nil || len(task.Unsure(err)) > 0 {
				t.Errorf("lost at %s: %v, which names %v", at, err, task.Unsure(err))
			}
			got, err := s.DeleteByID(t.Context(), idsOf(rows), line)
			if len(got) != left || err != nil {
				t.Errorf("lost at %s: %d rows were left, %v; want %d", at, len(got), err, left)
			}
		}
	})
}

// A group of far rows whose COMMIT was lost, and which then meets a lock, is tried call by
// call: what the COMMIT has deleted counts.
func TestAGroupOfFarRowsThatWasLostIsNotAbsent(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		learnFar(t, s)
		lost, locked := "", false // what was deleted by the group whose COMMIT was lost; it has met a lock
		w.mu.Lock()
		w.lose = func(s call) (bool, bool) {
			if lost != "" || s.stmt != "COMMIT" || len(s.before) <= 61 { // the ids of one call, and the line
				return false, false
			}
			lost = fmt.Sprint(s.before)
			return false, true
		}
		w.fail = func(s call) error {
			if locked || !strings.HasPrefix(s.stmt, "DELETE") || fmt.Sprint(s.args) != lost {
				return nil
			}
			locked = true
			return &mysql.MySQLError{Number: 1205, Message: "Lock wait timeout exceeded"}
		}
		w.mu.Unlock()
		rows := farRows("far", 16*60)
		for round := 0; round < 100 && lost == ""; round++ { // until some calls have come together
			mustCreate(t, s, rows)
			each(t, 16, func(i int) error {
				mine := rows[i*60 : (i+1)*60]
				got, err := s.DeleteByID(t.Context(), idsOf(mine), line)
				if err == nil && !durabletest.SameDeleted(got, unread(mine)) {
					err = fmt.Errorf("call %d: DeleteByID answered %d rows of 60", i, len(got))
				}
				return err
			})
			none(t, s)
		}
		if lost == "" || !locked {
			t.Errorf("the COMMIT of a group was lost: %t, and it met a lock: %t", lost != "", locked)
		}
	})
}

// Calls that share a statement have lines of their own: rows that one call must not leave
// unread are read, whichever calls share the statement.
func TestAGroupGoesByItsLatestLine(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, _ := wired(t, kind)
		for range 5 {
			learnFar(t, s)
			rows := farRows("far", 16*60)
			mustCreate(t, s, rows)
			each(t, 16, func(i int) error {
				mine, above := rows[i*60:(i+1)*60], int64(line)
				if i%2 > 0 {
					above = task.MaxDue
				}
				got, err := s.DeleteByID(t.Context(), idsOf(mine), above)
				if err == nil && (len(got) != len(mine) || i%2 > 0 && !durabletest.SameDeleted(got, mine)) {
					err = fmt.Errorf("call %d: DeleteByID answered %d rows of 60, not all of them read", i, len(got))
				}
				return err
			})
			none(t, s)
		}
		for _, above := range [][]int64{{line, task.MaxDue}, {task.MaxDue, line}} { // in either order
			learnFar(t, s)
			rows := farRows("far", 2*60)
			mustCreate(t, s, rows)
			got, err := s.DeleteByIDTogether([][]string{idsOf(rows[:60]), idsOf(rows[60:])}, above)
			if err != nil || !durabletest.SameDeleted(got[0], rows[:60]) || !durabletest.SameDeleted(got[1], rows[60:]) {
				t.Errorf("DeleteByIDs above %d that share a statement answered %d and %d rows of 60, %v; want all of them read", above, len(got[0]), len(got[1]), err)
			}
			none(t, s)
		}
	})
}
