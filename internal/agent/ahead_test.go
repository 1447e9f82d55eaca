package agent

import (
	"context"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// scanned is a durable store whose rows a feeder reads.
type scanned struct {
	fewRows
	from []task.Cursor
}

func (s *scanned) Scan(_ context.Context, at task.Cursor, _ int64, _, _ int) ([]task.Row, error) {
	s.from = append(s.from, at)
	return nil, nil
}

// While workers register what they have, the feeder feeds nothing that one of them may have claimed ahead before the data was lost (ClaimAhead).
func TestWhatMayHaveBeenClaimedAheadIsNotFedEarly(t *testing.T) {
	o, _, _ := stage(t, 0, false)
	store := &scanned{}
	o.Store = store
	st := task.PartitionStatus{StartMS: 5_000_000, ReadyMS: 5_002_000, HorizonMS: 1 << 50, AsOf: task.AsOf{Generation: 1, TimeUS: 5_000_000_000}}
	newFeeder(o, 1).feedWhileRegistering(t.Context(), 0, st, 2*time.Second)
	if want := (task.Cursor{NextMS: 5_000_000 + task.MaxAhead.Milliseconds() + 1}); len(store.from) != 1 || store.from[0] != want {
		t.Errorf("the feeder read from %+v on, want from %+v", store.from, want)
	}
}
