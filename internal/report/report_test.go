package report_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// An outage is one line in the log, however many loops meet it; each is counted.
func TestTheSameErrorIsLoggedOnceInAWhileAndCountedAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := report.Reporter{Logger: slog.New(slog.NewTextHandler(&log, nil))}
		away := fmt.Errorf("claim: %w: connection refused", task.ErrUnavailable)
		for range 30 { // in 15 s
			r.Error("claim", away, "claim again", "partition", 3)
			r.Error("feed", away, "read again")
			<-time.After(500 * time.Millisecond)
		}
		r.Error("claim", fmt.Errorf("claim: %w", task.ErrReadOnly), "claim again")
		if want := (map[string]uint64{"unavailable": 60, "read_only": 1}); !maps.Equal(r.Counts(), want) {
			t.Errorf("counted %v, want %v", r.Counts(), want)
		}
		if n := strings.Count(log.String(), "\n"); n != 5 { // two acts twice, and another kind
			t.Errorf("logged %d lines, want 5:\n%s", n, log.String())
		}
		for _, want := range []string{"act=claim", "kind=unavailable", "connection refused", `next="claim again"`, "partition=3"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s is not in the log:\n%s", want, log.String())
			}
		}
	})
}

func TestWhatIsNoErrorIsNeitherLoggedNorCounted(t *testing.T) {
	var log bytes.Buffer
	r := report.Reporter{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	r.Error("claim", nil, "")
	r.Error("claim", fmt.Errorf("claim: %w", context.Canceled), "")
	if len(r.Counts()) > 0 || log.Len() > 0 {
		t.Errorf("counted %v, logged %s", r.Counts(), log.String())
	}
	var zero report.Reporter
	zero.Error("claim", errors.New("boom"), "")
	zero.Info("no matter")
	if zero.Counts()["other"] != 1 {
		t.Errorf("without a logger it counted %v", zero.Counts())
	}
}

func TestKindsAreAClosedSet(t *testing.T) {
	for err, want := range map[error]string{
		task.ErrReadOnly: "read_only", task.ErrTooLarge: "too_large", task.ErrRefused: "refused", task.ErrNotMigrated: "not_migrated",
		task.ErrMismatch: "mismatch", task.ErrCold: "cold", task.ErrStale: "stale", task.ErrAborted: "aborted",
		task.ErrUnavailable: "unavailable", task.ErrClosed: "closed", task.ErrDiskFull: "disk_full", task.ErrInvalid: "invalid", context.DeadlineExceeded: "timeout",
		errors.New("Error 1064 near 'x'"): "other",
	} {
		if got := report.Kind(fmt.Errorf("act: %w", err)); got != want {
			t.Errorf("the kind of %v is %q, want %q", err, got, want)
		}
	}
}
