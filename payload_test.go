package triggerhook_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// A page of rows has more bytes of payloads than the durable store answers at once, though
// the hot set may hold each of them. Those that it leaves out are read at the claim.
func TestPayloadsThatAPageLeavesOutAreDelivered(t *testing.T) {
	onEvery(t, func(t *testing.T, s stores) {
		t.Parallel()
		const n, size = 12, 1 << 19
		sch := s.scheduler(t, triggerhook.Options{InlinePayload: 1 << 20, MaxPayload: 1 << 20})
		var rows []task.Row
		for i := range n { // stored, and not added: the feeder reads them
			payload := bytes.Repeat([]byte{byte(1 + i)}, size)
			rows = append(rows, task.Row{Ref: task.Ref{ID: fmt.Sprint("t", i), Ver: int64(1 + i)}, NextMS: 1, DueMS: 1, Payload: payload, Size: size})
		}
		if err := s.store.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		page, err := s.store.Scan(t.Context(), task.Cursor{}, time.Now().UnixMilli(), 1000, 1<<20)
		if err != nil || len(page) != n || !page[n-1].Cut() {
			t.Fatalf("Scan: %d rows, %v; want %d, the last of which is cut", len(page), err, n)
		}
		run(t, sch)
		for range n {
			d := next(t, sch)
			var i int
			if _, err := fmt.Sscanf(d.ID, "t%d", &i); err != nil || !bytes.Equal(d.Payload, bytes.Repeat([]byte{byte(1 + i)}, size)) {
				t.Errorf("%s was delivered with %d bytes of payload, %v; want its own %d", d.ID, len(d.Payload), err, size)
			}
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
