package durabletest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// heavy are rows whose payloads have more bytes than one answer should, of uneven lengths.
func heavy(t *testing.T, s durable.Store) map[string]task.Row {
	t.Helper()
	all := map[string]task.Row{}
	var rows []task.Row
	for i := range 30 {
		r := row(fmt.Sprint("heavy ", i), int64(i), "")
		switch {
		case i%10 == 3:
			r.Payload = bytes.Repeat([]byte{byte(i)}, 1<<20)
		case i%10 != 7:
			r.Payload = bytes.Repeat([]byte{byte(i)}, 1<<17)
		}
		r.Size = len(r.Payload)
		rows = append(rows, r)
		all[r.ID] = r
	}
	create(t, s, rows...)
	return all
}

// getInParts: where the payloads have many bytes, rows may come without them, but with their
// lengths. A caller that asks again for these rows gets as many of them whole as fit.
func getInParts(t *testing.T, s durable.Store) {
	all := heavy(t, s)
	var ids []string
	for id := range all {
		ids = append(ids, id)
	}
	for try := 0; len(ids) > 0; try++ {
		left, sum := []string(nil), 0
		for id, got := range get(t, s, ids...) {
			want := all[id]
			if got.Cut() && got.Payload == nil {
				want.Payload = nil
				left = append(left, id)
			}
			if !same(got, want) {
				t.Fatalf("try %d: row %q has Size %d and %d bytes of payload, want Size %d and those or none", try, id, got.Size, len(got.Payload), want.Size)
			}
		}
		if len(left) == len(ids) {
			t.Fatalf("try %d: of %d rows none came whole", try, len(ids))
		}
		ids = nil
		for _, id := range left {
			if sum += all[id].Size; sum <= task.MostBytes { // these have to come next
				ids = append(ids, id)
			}
		}
		for id, got := range get(t, s, ids...) {
			if !same(got, all[id]) {
				t.Fatalf("try %d: row %q came with %d of %d bytes, among %d that fit into an answer", try, id, len(got.Payload), got.Size, len(ids))
			}
		}
		ids = left[len(ids):]
	}
}

// scanInParts: the same of a page, which lacks no row.
func scanInParts(t *testing.T, s durable.Store) {
	all := heavy(t, s)
	for _, inline := range []int{1 << 16, 1 << 17, 1 << 20} {
		page, err := s.Scan(t.Context(), task.Cursor{}, 1000, 1000, inline)
		if err != nil || len(page) != len(all) {
			t.Fatalf("Scan with %d bytes inline: %d rows, %v; want %d", inline, len(page), err, len(all))
		}
		held := 0
		for i, got := range page {
			want := all[fmt.Sprint("heavy ", i)]
			held += len(got.Payload)
			if got.Cut() && got.Payload == nil {
				want.Payload = nil
			}
			if !same(got, want) || got.Cut() && got.Size <= inline && held+got.Size <= task.MostBytes || len(got.Payload) > inline {
				t.Errorf("Scan with %d bytes inline: row %d has Size %d and %d bytes of payload, after %d of others", inline, i, got.Size, len(got.Payload), held)
			}
		}
	}
}
