//go:build linux

package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

// A file that may not grow, nor be written, is a full disk: calls say so, nothing of what
// they asked for is there, and once there is room they succeed. The limit is the process's,
// so it is a process of its own.
func TestAFullDiskIsErrDiskFull(t *testing.T) {
	if os.Getenv("TRIGGERHOOK_FULL") != "" {
		fullDisk(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAFullDiskIsErrDiskFull$", "-test.v")
	cmd.Env = append(os.Environ(), "TRIGGERHOOK_FULL=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func limit(t *testing.T, bytes uint64) {
	t.Helper()
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l)
	l.Cur = min(bytes, l.Max)
	if err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)); err != nil {
		t.Fatal(err)
	}
}

func fullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	s := open(t, filepath.Join(t.TempDir(), "tasks"))
	ctx := context.Background()
	if err := s.Migrate(ctx, 1); err != nil {
		t.Fatal(err)
	}
	var rows []task.Row
	var refs []task.Ref
	for i := range 100 {
		refs = append(refs, task.Ref{ID: fmt.Sprint(i), Ver: int64(i + 1)})
		rows = append(rows, task.Row{Ref: refs[i], Payload: make([]byte, 1000)})
	}
	if err := s.Create(ctx, rows); err != nil {
		t.Fatal(err)
	}
	more := []task.Row{{Ref: task.Ref{ID: "more", Ver: 1}, Payload: make([]byte, 1<<20)}}
	for _, bytes := range []uint64{256 << 10, 1} { // no growth, then no writes
		limit(t, bytes)
		if err := s.Create(ctx, more); !errors.Is(err, task.ErrDiskFull) || !errors.Is(err, task.ErrUnavailable) {
			t.Errorf("Create with room for %d bytes: %v, want ErrDiskFull", bytes, err)
		}
	}
	if _, err := s.Delete(ctx, refs); !errors.Is(err, task.ErrDiskFull) || !slices.Equal(task.Unsure(err), refs) {
		t.Errorf("Delete: %v, unsure of %d, want ErrDiskFull, and unsure of all", err, len(task.Unsure(err)))
	}
	if _, err := s.DeleteByID(ctx, []string{"1", "absent"}, 0); !errors.Is(err, task.ErrDiskFull) || !slices.Equal(task.Unsure(err), refs[1:2]) {
		t.Errorf("DeleteByID: %v, unsure of %v, want ErrDiskFull, and unsure of the one that is there", err, task.Unsure(err))
	}
	for ref, want := range map[task.Ref][]task.Ref{refs[1]: refs[1:2], {ID: "absent", Ver: 1}: nil} {
		to := task.Row{Ref: task.Ref{ID: ref.ID, Ver: 1000}}
		if ok, err := s.Move(ctx, ref, to); ok || !errors.Is(err, task.ErrDiskFull) || !slices.Equal(task.Unsure(err), want) {
			t.Errorf("Move of %v: %t, %v, unsure of %v; want ErrDiskFull, and unsure of %v", ref, ok, err, task.Unsure(err), want)
		}
	}
	if n, _, err := s.Count(ctx, 1000); n != 100 || err != nil {
		t.Errorf("%d rows are there, %v; want the 100 of before", n, err)
	}
	limit(t, 1<<62)
	if err := s.Create(ctx, more); err != nil {
		t.Errorf("Create once there is room: %v", err)
	}
	if got, err := s.Delete(ctx, refs); err != nil || slices.Contains(got, false) {
		t.Errorf("Delete once there is room: %v, %v", got, err)
	}
}

// A store that was closed says that waiting is of no use.
func TestAClosedStoreIsFinal(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks"))
	if err := errors.Join(s.Migrate(t.Context(), 1), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete(t.Context(), []task.Ref{{ID: "a", Ver: 1}}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Delete after Close: %v, want ErrClosed", err)
	}
}
