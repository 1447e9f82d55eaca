package bolt_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/durable/durabletest"
	"github.com/triggerhook/triggerhook/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Run("bolt", func(t *testing.T) {
		durabletest.Run(t, func(t *testing.T) durable.Store { return open(t, filepath.Join(t.TempDir(), "tasks")) })
	})
}

func TestModel(t *testing.T) {
	t.Run("bolt", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "tasks"))
		if err := s.Migrate(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) { durabletest.Model(rt, s) })
	})
}

func TestAFileHasOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks")
	open(t, path)
	_, err := bolt.Open(path, bolt.Options{})
	if !errors.Is(err, task.ErrUnavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open of a file that is open: %v, want ErrUnavailable and the file's name", err)
	}
}

func TestOpenRefusesBadOptions(t *testing.T) {
	if _, err := bolt.Open("", bolt.Options{Namespace: "-"}); !errors.Is(err, task.ErrInvalid) {
		t.Errorf("Open: %v, want ErrInvalid", err)
	}
}
