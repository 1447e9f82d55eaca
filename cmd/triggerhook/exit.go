package main

import (
	"context"
	"errors"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/doctor"
)

// Exit codes, which help and docs/cli.md name. A script may rely on them.
const (
	exitOK          = 0
	exitFailed      = 1 // any other error
	exitUsage       = 2 // unknown command or flag, a value that breaks a rule: nothing was changed
	exitNotFound    = 3 // no task, or no dead letter, of that ID
	exitExists      = 4 // a task of that ID exists: nothing was changed
	exitClaimed     = 5 // deleted, but a worker had claimed it before: its delivery may still happen
	exitUnavailable = 6 // a server cannot be reached, or takes no writes at present: try again later
	exitRefused     = 7 // access denied, not migrated, stores that do not belong together, or producers that are paused: waiting alone does not help
	exitInterrupted = 130
)

// usageError is an error in what was typed.
type usageError struct{ error }

// Unwrap returns what was wrong.
func (u usageError) Unwrap() error { return u.error }

// exitCode is the exit code that tells err. The order counts: an error may match several.
func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	if found := (findingsError{}); errors.As(err, &found) {
		if found.worst == doctor.Error {
			return exitErrors
		}
		return exitWarnings
	}
	for _, c := range []struct {
		code int
		errs []error
	}{
		{exitOK, []error{nil}},
		{exitUsage, []error{triggerhook.ErrInvalid, triggerhook.ErrTooLarge, triggerhook.ErrUnsupported}},
		{exitNotFound, []error{triggerhook.ErrNotFound}},
		{exitExists, []error{triggerhook.ErrExists}},
		{exitClaimed, []error{triggerhook.ErrClaimed}},
		{exitRefused, []error{triggerhook.ErrRefused, triggerhook.ErrNotMigrated, triggerhook.ErrMismatch, triggerhook.ErrPaused}},
		{exitUnavailable, []error{triggerhook.ErrUnavailable, triggerhook.ErrReadOnly, context.DeadlineExceeded}},
		{exitInterrupted, []error{context.Canceled}},
	} {
		for _, e := range c.errs {
			if errors.Is(err, e) {
				return c.code
			}
		}
	}
	return exitFailed
}
