package local

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Old tombstones take no memory: the next call drops them, after a pause of any
// length.
func TestOldTombstonesAreDropped(t *testing.T) {
	for _, pause := range []time.Duration{3 * task.TombstoneTTL, 4 * task.TombstoneTTL, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, err := New(Options{Partitions: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1, Limit: 1}); err != nil {
				t.Fatal(err)
			}
			for i := range 3 { // in each of three periods
				if i > 0 {
					<-time.After(task.TombstoneTTL)
				}
				if _, err := s.Remove(t.Context(), 0, "", []task.Ref{{ID: "a", Ver: int64(i)}}); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(pause)
			if _, err := s.Clock(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			for k, g := range s.parts[0].gone {
				if len(g) > 0 {
					t.Errorf("%s after the last removal, set %d holds %d tombstones", pause, k, len(g))
				}
			}
		})
	}
}
