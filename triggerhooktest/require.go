package triggerhooktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// Check is what RequireCreated demands of a task. It returns what is wrong, and "" if nothing is.
type Check func(triggerhook.Info) string

// DueAt demands that the task is due then, to the millisecond.
func DueAt(at time.Time) Check {
	return func(i triggerhook.Info) string {
		if want := at.Add(time.Millisecond - 1).UnixMilli(); i.Due.UnixMilli() != want {
			return fmt.Sprintf("it is due at %s, want %s", stamp(i.Due), stamp(time.UnixMilli(want).UTC()))
		}
		return ""
	}
}

// Payload demands that the task has that payload.
func Payload(p []byte) Check {
	return func(i triggerhook.Info) string {
		if !bytes.Equal(i.Payload, p) {
			return fmt.Sprintf("its payload is %q, want %q", i.Payload, p)
		}
		return ""
	}
}

// Header demands that the task has that header.
func Header(key, value string) Check {
	return func(i triggerhook.Info) string {
		if got, is := i.Headers[key]; !is || got != value {
			return fmt.Sprintf("its header %q is %q (there: %t), want %q", key, got, is, value)
		}
		return ""
	}
}

// RequireCreated fails t unless an unfinished task of that id exists now that passes all checks. It returns the task. The message says what is wrong, which
// tasks are there, and what was delivered before.
func (s *Scheduler) RequireCreated(t testing.TB, id string, checks ...Check) triggerhook.Info {
	t.Helper()
	i, err := s.Get(t.Context(), id)
	if err != nil && !errors.Is(err, triggerhook.ErrNotFound) {
		t.Fatalf("triggerhooktest: get %q: %v", id, err)
	}
	if err != nil {
		t.Fatalf("triggerhooktest: there is no task %q. %s", id, s.there(t.Context()))
	}
	var wrong []string
	for _, check := range checks {
		if w := check(i); w != "" {
			wrong = append(wrong, w)
		}
	}
	if len(wrong) > 0 {
		t.Fatalf("triggerhooktest: task %q: %s. %s", id, strings.Join(wrong, "; "), s.there(t.Context()))
	}
	return i
}

// RequireNotCreated fails t if an unfinished task of one of these ids exists now. A task that was confirmed or deleted does
// not exist any more.
func (s *Scheduler) RequireNotCreated(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		i, err := s.Get(t.Context(), id)
		if err == nil {
			t.Fatalf("triggerhooktest: task %q exists, due at %s. %s", id, stamp(i.Due), s.there(t.Context()))
		}
		if !errors.Is(err, triggerhook.ErrNotFound) {
			t.Fatalf("triggerhooktest: get %q: %v", id, err)
		}
	}
}

// mostListed is how many tasks a message names.
const mostListed = 20

// there says which tasks exist, and what was delivered.
func (s *Scheduler) there(ctx context.Context) string {
	rows, err := s.store.Scan(ctx, task.Cursor{}, math.MaxInt64, mostListed+1, 64)
	if err != nil {
		return fmt.Sprintf("The tasks cannot be listed: %v", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "It is %s. ", stamp(s.Now()))
	if len(rows) == 0 {
		b.WriteString("No task exists. ")
	} else {
		b.WriteString("These tasks exist:\n")
	}
	for _, r := range rows[:min(len(rows), mostListed)] {
		fmt.Fprintf(&b, "\t%q due at %s", r.ID, stamp(time.UnixMilli(r.DueMS).UTC()))
		if r.Size > 0 {
			fmt.Fprintf(&b, ", %d bytes of payload and headers", r.Size)
		}
		b.WriteByte('\n')
	}
	if len(rows) > mostListed {
		b.WriteString("\tand more\n")
	}
	return b.String() + s.spy.told()
}
