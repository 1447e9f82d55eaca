package triggerhook_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

func TestPartitionsTellWhatEachOneHolds(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		n := s.set.Config().Partitions
		cold, err := sch.Partitions(t.Context())
		if err != nil || len(cold) != n || cold[n-1] != (triggerhook.PartitionInfo{Partition: n - 1}) {
			t.Errorf("before the first Run: %+v, %v, want %d cold partitions", cold, err, n)
		}
		due(t, sch, "late", 8, -time.Hour)
		due(t, sch, "soon", 12, 40*time.Second)
		due(t, sch, "far", 5, time.Hour)
		began := time.Now()
		stop := run(t, sch)
		defer stop()
		sleep(t, 10*time.Second)
		if _, err := sch.Consume(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := sch.Partitions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sum := triggerhook.PartitionInfo{}
		for i, p := range all {
			sum.Waiting, sum.Due, sum.InFlight = sum.Waiting+p.Waiting, sum.Due+p.Due, sum.InFlight+p.InFlight
			if p.Partition != i || p.Generation == 0 ||
				p.Loaded.Before(began.Add(time.Minute)) || p.Horizon.Before(p.Loaded) || (p.Waiting == 0) != p.Oldest.IsZero() {
				t.Errorf("partition %d: %+v", i, p)
			}
		}
		if sum.Waiting+sum.InFlight != 20 || sum.Due+sum.InFlight != 8 || sum.InFlight == 0 {
			t.Errorf("all partitions hold %d waiting tasks, %d due, %d in flight; want 20 with those in flight, 8 of them due", sum.Waiting, sum.Due, sum.InFlight)
		}
	})
}

// silent does not answer for its last partition.
type silent struct{ hotset.Set }

var errSilent = errors.New("no route to host")

// State implements hotset.Set.
func (s silent) State(ctx context.Context, p int) (task.State, error) {
	if p == s.Config().Partitions-1 {
		return task.State{}, errSilent
	}
	return s.Set.State(ctx, p)
}

func TestPartitionsThatAnswerAreToldWithTheError(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		s.set = silent{s.set}
		all, err := s.scheduler(t, triggerhook.Options{}).Partitions(t.Context())
		if n := s.set.Config().Partitions; !errors.Is(err, errSilent) || len(all) != n || all[n-1].Partition != n-1 {
			t.Errorf("got %+v, %v, want %d partitions and the cause", all, err, n)
		}
	})
}
