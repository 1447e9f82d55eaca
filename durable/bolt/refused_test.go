package bolt

import (
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// Migrate changes nothing in a file of a format that this library does not work with.
func TestAFileThatIsRefusedIsLeftAsItIs(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "tasks"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(s.name("meta"))
		if err == nil {
			err = errors.Join(meta.Put([]byte("format"), []byte("4")), meta.Put([]byte("compatible"), []byte("4")))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context(), 1); !errors.Is(err, task.ErrRefused) {
		t.Errorf("Migrate of a newer file: %v, want ErrRefused", err)
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(s.name("task")) != nil || tx.Bucket(s.name("meta")).Get([]byte("partitions")) != nil {
			t.Error("Migrate has changed the file")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
