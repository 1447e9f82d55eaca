package bolt

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

func opened(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "tasks"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// A file of a library that knew no dead letters is refused until Migrate has made room for them, and keeps its rows.
func TestAFileFromBeforeDeadLettersIsBroughtUpToDate(t *testing.T) {
	s := opened(t)
	r := task.Row{Ref: task.Ref{ID: "a", Ver: 7}, NextMS: 5, CreatedMS: 3}
	if err := s.Create(t.Context(), []task.Row{r}); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(tx.DeleteBucket(s.name("expires")), tx.DeleteBucket(s.name("dead")), tx.DeleteBucket(s.name("deadid")))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context(), 1); !errors.Is(err, task.ErrNotMigrated) {
		t.Errorf("Check of the older file: %v, want ErrNotMigrated", err)
	}
	if err := s.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	dead, err := s.Bury(t.Context(), []task.Burial{{Ref: r.Ref, Reason: task.ReasonExpired}})
	if err != nil || !dead[0] {
		t.Errorf("Bury of its row: %v, %v", dead, err)
	}
}

// An older library deletes a row and leaves behind when it expires. That does not count for the next row of its ID.
func TestAnExpiryIsOfOneRow(t *testing.T) {
	s := opened(t)
	a := task.Row{Ref: task.Ref{ID: "a", Ver: 7}, NextMS: 5, CreatedMS: 3, ExpiresMS: 9}
	next := task.Row{Ref: task.Ref{ID: "a", Ver: 8}, NextMS: 6, CreatedMS: 4}
	if err := s.Create(t.Context(), []task.Row{a}); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error { // what the older library does
		tab, err := s.table(tx)
		if err != nil {
			return err
		}
		return errors.Join(tab.rows.Delete(rowKey(a.NextMS, a.ID)), tab.ids.Delete([]byte(a.ID)), tab.ids.SetSequence(0))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), []task.Row{next}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), []string{"a"}); err != nil || len(got) != 1 || got[0].ExpiresMS != 0 {
		t.Errorf("the next row is %+v, %v; want one that does not expire", got, err)
	}
}

// A dead letter is read as what was written; a damaged one is an error, never a panic.
func FuzzDead(f *testing.F) {
	f.Add("a", int64(1), int64(2), "expired", "why", []byte("payload"), []byte("12345678a\x0012345678"), []byte("x"))
	f.Add("é", int64(-1), int64(0), "", "", []byte(nil), []byte("12345678a\x0012345678"), bytes.Repeat([]byte{0}, 37))
	f.Fuzz(func(t *testing.T, id string, ver, at int64, reason, text string, payload, k, v []byte) {
		if d, err := decodeDead(k, v); err == nil && (len(v) < deadHeader || d.ID == "") {
			t.Errorf("a dead letter of %d and %d bytes was read: %+v", len(k), len(v), d)
		}
		b := task.Burial{Ref: task.Ref{ID: id, Ver: ver}, Reason: reason, LastError: text, DeadMS: at, Attempt: 3}
		if task.CheckID(id) != nil || b.Check() != nil {
			return
		}
		r := task.Row{DueMS: at + 1, CreatedMS: ver, ExpiresMS: 5, Payload: payload, Headers: reason}
		d, err := decodeDead(deadKey(task.DeadCursor{DeadMS: at, Ref: b.Ref}), deadRow(b, r))
		if err != nil || d.Burial != b || d.DueMS != r.DueMS || d.CreatedMS != ver || d.ExpiresMS != 5 || d.Headers != reason || !bytes.Equal(d.Payload, payload) {
			t.Errorf("%+v of %+v came back as %+v, %v", b, r, d, err)
		}
	})
}
