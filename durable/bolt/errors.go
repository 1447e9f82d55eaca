package bolt

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/triggerhook/triggerhook/task"
)

// brokenError is the error of a write that may have changed something before it failed.
type brokenError struct{ err error }

// Error implements error.
func (e *brokenError) Error() string { return e.err.Error() }

// Unwrap returns what the file said.
func (e *brokenError) Unwrap() error { return e.err }

// commitError is the error of a commit that failed, usually because there was no room. It has most
// likely changed nothing; if only the last flush failed it may have taken effect.
type commitError struct{ err error }

// Error implements error.
func (e *commitError) Error() string { return e.err.Error() }

// Unwrap returns what the file said.
func (e *commitError) Unwrap() error { return e.err }

func commitFailed(err error) bool {
	var commit *commitError
	return errors.As(err, &commit)
}

// doubtful is err, whose commit may have deleted or moved refs.
func doubtful(refs []task.Ref, err error) error {
	if len(refs) == 0 {
		return err
	}
	return &task.UnsureError{Refs: refs, Err: err}
}

// typed adds the sentinel that says what err is. When bbolt makes its file larger, it returns some
// errors of the operating system in words of its own, without wrapping them.
func typed(err error) error {
	var kind error
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		kind = task.ErrClosed
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EDQUOT),
		commitFailed(err) && strings.Contains(err.Error(), "file resize error"):
		kind = task.ErrDiskFull
	case errors.Is(err, syscall.EROFS):
		kind = task.ErrReadOnly
	case commitFailed(err): // EIO, and what else may become of a disk
		kind = task.ErrUnavailable
	default:
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}
