package durabletest

import (
	"errors"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// withHeaders returns a row with a payload and headers, of which either may be empty.
func withHeaders(id string, nextMS int64, payload, headers string) task.Row {
	r := row(id, nextMS, payload)
	r.Headers, r.Size = headers, len(payload)+len(headers)
	return r
}

// headersComeBack: headers come with the payload, and are left out with it; a move keeps both.
func headersComeBack(t *testing.T, s durable.Store) {
	long := `{"k":"` + strings.Repeat("v", task.MaxHeaders-8) + `"}`
	want := []task.Row{
		withHeaders("a", 1, "", `{"k":"v"}`), withHeaders("b", 2, "payload", "{\"k\":\"é'\\\"\\u0000\"}"), withHeaders("c", 3, "payload", ""),
		withHeaders("d", 4, "", long), withHeaders("e", 5, strings.Repeat("p", 1<<16), long),
	}
	create(t, s, want...)
	for _, w := range want {
		if got := get(t, s, w.ID)[w.ID]; !same(got, w) {
			t.Errorf("row %q came back with headers %.50q, %d bytes of %d; want %.50q and %d", w.ID, got.Headers, got.Bytes(), got.Size, w.Headers, w.Size)
		}
	}
	for _, inline := range []int{0, 8, 9, len(want[1].Headers) + 6, len(want[1].Headers) + 7, task.MaxHeaders, 1 << 20} {
		got, err := s.Scan(t.Context(), task.Cursor{}, 10, 10, inline)
		if err != nil || len(got) != len(want) {
			t.Fatalf("Scan: %d rows, %v", len(got), err)
		}
		for i, w := range want {
			if w.Size > inline {
				w.Payload, w.Headers = nil, ""
			}
			if !same(got[i], w) || got[i].Cut() != (w.Size > inline) {
				t.Errorf("Scan with %d inline bytes: %q has headers %.50q, %d bytes of %d, cut: %v", inline, w.ID, got[i].Headers, got[i].Bytes(), got[i].Size, got[i].Cut())
			}
		}
	}
	to := row("b", 99, "")
	if ok, err := s.Move(t.Context(), want[1].Ref, to); !ok || err != nil {
		t.Fatalf("Move answered %v, %v", ok, err)
	}
	if got := get(t, s, "b")["b"]; got.Headers != want[1].Headers || string(got.Payload) != "payload" {
		t.Errorf("the moved row has headers %q and payload %q", got.Headers, got.Payload)
	}
}

// longHeaders: a row whose headers are longer than any that are encoded is refused, and nothing is stored.
func longHeaders(t *testing.T, s durable.Store) {
	err := s.Create(t.Context(), []task.Row{row("a", 1, ""), withHeaders("b", 1, "", strings.Repeat("x", task.MaxHeaders+1))})
	if !errors.Is(err, task.ErrTooLarge) {
		t.Errorf("Create with headers that are too long: %v, want ErrTooLarge", err)
	}
	if n := len(get(t, s, "a", "b")); n != 0 {
		t.Errorf("%d rows exist", n)
	}
}
