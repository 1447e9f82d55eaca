package bolt

import (
	"bytes"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// A row is read as what was written; a damaged one is an error, never a panic.
func FuzzRow(f *testing.F) {
	s, err := Open(filepath.Join(f.TempDir(), "tasks"), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if err := s.Migrate(f.Context(), 1); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id string, due, exec, ver, created int64, attempt uint32, payload, k, v []byte) {
		if _, err := decode(k, v); err == nil && (len(k) <= 8 || len(v) < header) {
			t.Errorf("a row of %d and %d bytes was read", len(k), len(v))
		}
		if task.CheckID(id) != nil || due < 0 {
			return
		}
		r := task.Row{Ref: task.Ref{ID: id, Ver: ver}, NextMS: due, DueMS: exec, Attempt: int(attempt), CreatedMS: created, Payload: payload}
		if len(k) <= task.MaxHeaders {
			r.Headers = string(k)
		}
		r.Size = r.Bytes()
		tx, err := s.db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		defer func(tx *bbolt.Tx) { _ = tx.Rollback() }(tx)
		tab, err := s.table(tx)
		if err == nil {
			err = tab.put(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := tab.get(id)
		same := bytes.Equal(got.Payload, payload)
		got.Payload, r.Payload = nil, nil
		if !ok || err != nil || !same || got.Ref != r.Ref || got.NextMS != due || got.DueMS != exec || got.Attempt != r.Attempt || got.CreatedMS != created || got.Size != r.Size || got.Headers != r.Headers {
			t.Errorf("%+v came back as %+v, %t, %v; payload the same: %t", r, got, ok, err, same)
		}
	})
}
