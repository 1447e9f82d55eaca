package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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

// A second Open is told at once, whatever path leads to the file; the lock alone says after a
// second that another process has it.
func TestAFileIsOpenOnceInAProcess(t *testing.T) {
	dir := t.TempDir()
	path, link, linked := filepath.Join(dir, "tasks"), filepath.Join(dir, "link"), filepath.Join(dir, "linked")
	s := open(t, path)
	if err := errors.Join(os.Symlink(path, link), os.Link(path, linked)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir + "/./tasks", link, linked} {
		_, err := bolt.Open(p, bolt.Options{Namespace: "other"})
		if !errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), p) || !strings.Contains(err.Error(), "this process has it open") {
			t.Errorf("Open of %s, which is open: %v, want ErrInvalid, its path, and that this process has it open", p, err)
		}
	}
	open(t, filepath.Join(dir, "another"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, link)
}

// Of many that open a new file at once one gets it.
func TestOneOfManyOpensAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks")
	var wg sync.WaitGroup
	var opened, refused atomic.Int32
	for range 8 {
		wg.Go(func() {
			s, err := bolt.Open(path, bolt.Options{})
			switch {
			case err == nil:
				opened.Add(1)
				t.Cleanup(func() { s.Close() })
			case errors.Is(err, task.ErrInvalid):
				refused.Add(1)
			default:
				t.Errorf("Open: %v", err)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d of 8 opened the file, and %d were refused", opened.Load(), refused.Load())
	}
}

func TestOpenRefusesBadOptions(t *testing.T) {
	if _, err := bolt.Open("", bolt.Options{Namespace: "-"}); !errors.Is(err, task.ErrInvalid) {
		t.Errorf("Open: %v, want ErrInvalid", err)
	}
}
