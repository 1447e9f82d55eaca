package triggerhook_test

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// whole fails unless a task has the payload and headers that it was created with.
func whole(t *testing.T, where string, got, want triggerhook.Task) {
	t.Helper()
	if got.ID != want.ID || !bytes.Equal(got.Payload, want.Payload) || !maps.Equal(got.Headers, want.Headers) || len(want.Headers) == 0 && got.Headers != nil {
		t.Errorf("%s: %q has %d bytes of payload and headers %.60q, want %d and %.60q", where, got.ID, len(got.Payload), got.Headers, len(want.Payload), want.Headers)
	}
}

// Headers come with their task through all that can become of it: to Get, each delivery, after a Rollback that the hot set
// or the durable store keeps, and after a Reschedule; whether the hot set holds them or they are read at the claim.
func TestHeadersStayWithTheirTask(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{Window: time.Second})
		run(t, sch)
		for _, want := range []triggerhook.Task{
			{ID: "none", Payload: []byte("p")},
			{ID: "empty", Headers: map[string]string{}},
			{ID: "short", Payload: []byte("h:3:x"), Headers: map[string]string{"trace": "00-4bf9", "ключ": "\x00\"\\:"}},
			{ID: "long", Headers: map[string]string{"k": strings.Repeat("v", task.MaxHeaders-8)}},
			{ID: "beside a long payload", Payload: make([]byte, 5000), Headers: map[string]string{"k": "v"}},
		} {
			want.Due = time.Now()
			mine := maps.Clone(want.Headers)
			if err := sch.Create(t.Context(), &want); err != nil {
				t.Fatal(err)
			}
			clear(want.Headers) // Create keeps no map
			want.Headers = mine
			info, err := sch.Get(t.Context(), want.ID)
			if err != nil {
				t.Fatal(err)
			}
			whole(t, "Get", info.Task, want)
			d := next(t, sch)
			whole(t, "the first delivery", d.Task, want)
			delays := []time.Duration{0}
			if want.ID == "short" {
				delays = append(delays, 3*time.Second) // it ends beyond the window, so that the row is moved
			}
			for _, delay := range delays {
				if err := d.Rollback(t.Context(), delay); err != nil {
					t.Fatal(err)
				}
				d = next(t, sch)
				whole(t, "after a Rollback of "+delay.String(), d.Task, want)
			}
			if err := sch.Reschedule(t.Context(), want.ID, time.Now()); err != nil {
				t.Fatal(err)
			}
			d = next(t, sch)
			whole(t, "after a Reschedule", d.Task, want)
			if d.Headers != nil {
				d.Headers["mine"] = "the caller's own"
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A row whose headers were changed by hand is delivered all the same, without them, and the log says so.
func TestHeadersThatCannotBeReadLoseNoTask(t *testing.T) {
	s := embedded(t, 1)
	var log lines
	sch := s.scheduler(t, triggerhook.Options{Logger: log.logger()})
	for id, size := range map[string]int{"inline": 1, "external": 5000} {
		row := task.Row{Ref: task.Ref{ID: id, Ver: task.NewVer()}, NextMS: time.Now().UnixMilli(), Payload: make([]byte, size), Headers: `{"k":secret`}
		if err := s.store.Create(context.Background(), []task.Row{row}); err != nil {
			t.Fatal(err)
		}
		if _, err := sch.Get(t.Context(), id); err == nil || !strings.Contains(err.Error(), id) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Get: %v, want an error that names the task, and no value", err)
		}
	}
	run(t, sch)
	for range 2 {
		d := next(t, sch)
		if d.Headers != nil || len(d.Payload) == 0 {
			t.Errorf("%q has headers %q and %d bytes", d.ID, d.Headers, len(d.Payload))
		}
		if err := d.Confirm(t.Context()); err != nil {
			t.Error(err)
		}
	}
	st, err := sch.Stats(t.Context())
	if said := log.String(); err != nil || st.Process.Errors["other"] < 2 || strings.Contains(said, "secret") ||
		!strings.Contains(said, `\": 11 bytes of headers are not a JSON object`) { // the log has the first of its kind, the figures count all
		t.Errorf("%v errors are counted, %v; the log says %s", st.Process.Errors, err, said)
	}
}
