// Package report counts and logs errors that cannot be returned to a caller. Each error is
// counted by its kind and logged once, with what happens next.
package report

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// silentFor is how long the same error of the same act is not logged again: an outage is one
// event, however many loops meet it.
const silentFor = 10 * time.Second

// Reporter counts and logs. The zero Reporter counts, and logs nothing.
type Reporter struct {
	Logger *slog.Logger // nil: it logs nothing

	mu     sync.Mutex
	counts map[string]uint64
	last   map[string]time.Time
}

// Error reports, at the level Warn, that act failed with err, and what happens next. It ignores a nil error and
// context.Canceled.
func (r *Reporter) Error(act string, err error, next string, args ...any) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	kind := Kind(err)
	if !r.count(kind, act+"/"+kind) || r.Logger == nil {
		return
	}
	args = append([]any{"act", act, "kind", kind, "error", err, "next", next}, args...)
	r.Logger.Warn("triggerhook: "+act+" failed", args...)
}

// count counts kind and tells whether key is to be logged now.
func (r *Reporter) count(kind, key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts, r.last = map[string]uint64{}, map[string]time.Time{}
	}
	r.counts[kind]++
	now := time.Now()
	if at, ok := r.last[key]; ok && now.Sub(at) < silentFor {
		return false
	}
	r.last[key] = now
	return true
}

// Info logs an event that is worth knowing and no error.
func (r *Reporter) Info(msg string, args ...any) {
	if r.Logger != nil {
		r.Logger.Info("triggerhook: "+msg, args...)
	}
}

// Warn logs an event that an operator should look into, and that is no error of an act.
func (r *Reporter) Warn(msg string, args ...any) {
	if r.Logger != nil {
		r.Logger.Warn("triggerhook: "+msg, args...)
	}
}

// Counts returns how often each kind of error was reported.
func (r *Reporter) Counts() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// Kind names the kind of err for metrics; the set of names is closed.
func Kind(err error) string {
	for _, k := range []struct {
		err  error
		name string
	}{
		{task.ErrReadOnly, "read_only"}, {task.ErrTooLarge, "too_large"}, {task.ErrRefused, "refused"},
		{task.ErrNotMigrated, "not_migrated"}, {task.ErrMismatch, "mismatch"}, {task.ErrCold, "cold"},
		{task.ErrStale, "stale"}, {task.ErrAborted, "aborted"}, {task.ErrClosed, "closed"}, {task.ErrDiskFull, "disk_full"}, {task.ErrUnavailable, "unavailable"},
		{task.ErrInvalid, "invalid"}, {context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "other"
}
