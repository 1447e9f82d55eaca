package bolt

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/triggerhook/triggerhook/task"
)

// brokenError is of a write that may have changed something before it failed.
type brokenError struct{ err error }

// Error implements error.
func (e *brokenError) Error() string { return e.err.Error() }

// Unwrap returns what the file said.
func (e *brokenError) Unwrap() error { return e.err }

// commitError is of a commit that failed, for want of room as a rule. It has most likely
// changed nothing; where the last flush failed it may be found done.
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

// typed adds the sentinel that tells what err is. bbolt words some errors of the operating
// system itself, without wrapping them, when it makes its file larger.
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
