package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

func endings(refs []task.Ref, how task.EndKind) []task.Ending {
	ends := make([]task.Ending, len(refs))
	for i, r := range refs {
		ends[i] = task.Ending{Ref: r, How: how, EndedMS: 5, Attempt: 1, Worker: "w"}
	}
	return ends
}

// keptOnce checks that each ref is kept once if it ended, and not at all if its row exists.
func keptOnce(t *testing.T, s *durable.MySQL, refs []task.Ref) {
	t.Helper()
	for _, r := range refs {
		rows, err := s.Get(t.Context(), []string{r.ID})
		kept, e := s.History(t.Context(), r.ID, 10)
		of := 0
		for _, k := range kept {
			if k.Ref == r {
				of++
			}
		}
		exists := len(rows) == 1 && rows[0].Ref == r
		if err != nil || e != nil || exists == (of > 0) || of > 1 {
			t.Errorf("%v exists: %t, and is kept %d times, %v, %v", r, exists, of, err, e)
		}
	}
}

// Whatever statement of the transaction the connection is lost at, before or after the server has done it, each call that ends tasks tells
// the truth, and the history has each end once.
func TestALostAnswerKeepsEachEndOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		ghost := task.Ref{ID: "ghost", Ver: 7}
		round := int64(0)
		for _, at := range []string{"BEGIN", "SELECT id, ver, due", "INSERT INTO `t_done`", "DELETE", "COMMIT"} {
			for _, before := range []bool{true, false} {
				for act, call := range map[string]func([]task.Ref) ([]bool, error){
					"End": func(refs []task.Ref) ([]bool, error) { return s.End(t.Context(), endings(refs, task.EndConfirmed)) },
					"End, whole": func(refs []task.Ref) ([]bool, error) {
						ends := endings(refs[:3], task.EndConfirmed)
						for i := range ends {
							ends[i].CreatedMS = 7
						}
						got, err := s.End(t.Context(), ends)
						return append(got, false), err
					},
					"EndByID": func(refs []task.Ref) ([]bool, error) {
						rows, err := s.EndByID(t.Context(), endings(refs, task.EndDeleted))
						got := make([]bool, len(refs))
						for _, r := range rows {
							got[slices.Index(refs, r.Ref)] = true
						}
						return got, err
					},
					"EndDead": func(refs []task.Ref) ([]bool, error) {
						var burials []task.Burial
						for _, r := range refs {
							burials = append(burials, task.Burial{Ref: r, Reason: task.ReasonAttempts, DeadMS: 5})
						}
						return s.EndDead(t.Context(), burials, endings(refs, task.EndDead))
					},
				} {
					rows, refs := numbered(3)
					for i := range rows {
						round++
						rows[i].Ver = round
						refs[i] = rows[i].Ref
					}
					if err := s.Create(t.Context(), rows); err != nil {
						t.Fatal(err)
					}
					w.loseOnce(at, before)
					got, err := call(append(slices.Clone(refs), ghost))
					w.mend()
					if err != nil || !slices.Equal(got, []bool{true, true, true, false}) {
						t.Errorf("%s, lost at %s, before: %t: it answered %v, %v, want the three rows and not the ghost", act, at, before, got, err)
					}
					keptOnce(t, s, refs)
				}
			}
		}
	})
}

// A call that fails names what it may have ended, and the history agrees with the rows.
func TestAFailedEndNamesWhatItMayHaveEnded(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		rows, refs := numbered(20)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		for at, part := range map[string][]task.Ref{"COMMIT": refs[:10], "DELETE": refs[10:]} {
			w.cut(at)
			_, err := s.End(t.Context(), endings(part, task.EndConfirmed))
			w.mend()
			want := 0
			if at == "COMMIT" {
				want = len(part)
			}
			if got := task.Unsure(err); err == nil || len(got) != want {
				t.Errorf("cut after %s: End is unsure of %d refs, want %d: %v", at, len(got), want, err)
			}
		}
		keptOnce(t, s, refs)
	})
}

// A user's transaction that holds one row fails that row's caller alone.
func TestALockedRowHoldsUpNoOtherEnd(t *testing.T) {
	server := testserver.Shared(t, testserver.MySQL)
	db := server.DB(t, "")
	s := migrated(t, db)
	rows, refs := numbered(8)
	if err := s.Create(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("UPDATE t_task SET attempt = 9 WHERE id = ?", []byte(refs[4].ID)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	each(t, len(refs), func(i int) error {
		of := t.Context()
		if i == 4 {
			of = ctx // it waits until the others are done
		}
		got, err := s.End(of, endings(refs[i:i+1], task.EndConfirmed))
		switch {
		case i == 4 && err == nil:
			return errors.New("the locked row was ended")
		case i != 4 && (err != nil || !got[0]):
			return fmt.Errorf("End of %v answered %v, %w", refs[i], got, err)
		}
		return nil
	})
	cancel()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	keptOnce(t, s, refs)
}

// What KeepTx writes exists if and only if the caller's transaction commits, also on a connection whose session is lax, and under
// REPEATABLE READ. It keeps nothing of what others have ended since the snapshot.
func TestKeepTxIsPartOfItsTransaction(t *testing.T) {
	eachTxKind(t, func(w txWorld) {
		a, b := task.Ref{ID: "a'é", Ver: 1}, task.Ref{ID: "b", Ver: 2}
		w.must(w.Create(w.Context(), []task.Row{{Ref: a, DueMS: 3, CreatedMS: 4, Attempt: 6}, {Ref: b}}))
		end := func(commit bool) {
			tx := w.begin()
			var n int
			w.must(tx.QueryRow("SELECT COUNT(*) FROM t_task").Scan(&n)) // the snapshot
			if commit {
				if _, err := w.End(w.Context(), endings([]task.Ref{b}, task.EndDeleted)); err != nil {
					w.Fatal(err)
				}
			}
			w.must(w.KeepTx(w.Context(), tx, endings([]task.Ref{a, b, {ID: "ghost", Ver: 1}}, task.EndConfirmed)))
			existed, err := w.ConfirmTx(w.Context(), tx, a)
			if !existed || err != nil {
				w.Fatalf("ConfirmTx answered %t, %v", existed, err)
			}
			if commit {
				w.must(tx.Commit())
			} else {
				w.must(tx.Rollback())
			}
			keptOnce(w.T, w.MySQL, []task.Ref{a, b})
		}
		end(false)
		end(true)
		kept, err := w.History(w.Context(), a.ID, 10)
		want := task.Row{Ref: a, DueMS: 3, CreatedMS: 4, Attempt: 6}.EndedAs(endings([]task.Ref{a}, task.EndConfirmed)[0])
		if err != nil || !slices.Equal(kept, []task.Ending{want}) {
			w.Errorf("kept is %+v, %v, want %+v", kept, err, want)
		}
		tx := w.begin()
		w.must(tx.Rollback())
		if err := w.KeepTx(w.Context(), tx, endings([]task.Ref{a}, task.EndConfirmed)); !errors.Is(err, task.ErrInvalid) {
			w.Errorf("KeepTx in a transaction that has ended: %v, want ErrInvalid", err)
		}
		bad := endings([]task.Ref{a}, task.EndDead+1)
		if err := w.KeepTx(w.Context(), tx, bad); !errors.Is(err, task.ErrInvalid) || errors.Is(err, sql.ErrTxDone) {
			w.Errorf("KeepTx of a bad ending: %v, want ErrInvalid", err)
		}
	})
}
