//go:build linux || darwin

package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/task"
)

// The lock belongs to a descriptor, so one of this test is as good as another process's.
func TestAFileOfAnotherProcessIsUnavailable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first does not count as open
		_, err := bolt.Open(path, bolt.Options{})
		if !errors.Is(err, task.ErrUnavailable) || !strings.Contains(err.Error(), path+": unavailable: another process has it open") {
			t.Errorf("Open of a file that is locked: %v, want ErrUnavailable and the file's name", err)
		}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}
