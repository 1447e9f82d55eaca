package triggerhook

import (
	"context"
	"fmt"
	"time"
)

// PartitionInfo is what a partition of the hot set holds, at one moment.
type PartitionInfo struct {
	Partition int // from 0 on
	// Generation is the number of the partition's generation: a new one begins when the hot set has lost its data. 0: the
	// partition is cold, because it is being rebuilt or no worker runs, and the fields below are zero.
	Generation int64
	// Horizon is up to when tasks are taken into the hot set: Create adds what is due before it.
	Horizon time.Time
	// Loaded is up to when all rows of the durable store have been loaded. It lies before Horizon while a feeder loads.
	Loaded   time.Time
	Waiting  int64     // tasks that wait, due or not
	Due      int64     // those of Waiting that are due
	InFlight int64     // tasks that workers have claimed
	Oldest   time.Time // when the first task of Waiting is, or was, to be offered; zero if none waits
}

// Partitions returns what each partition of the hot set holds, in their order. It asks each partition once. With an error it
// returns all of them nevertheless, and of one that has not answered only Partition is set.
func (s *Scheduler) Partitions(ctx context.Context) ([]PartitionInfo, error) {
	states, err := s.states(ctx)
	all := make([]PartitionInfo, len(states))
	for p, st := range states {
		all[p].Partition = p
		if st.AsOf.Generation == 0 {
			continue
		}
		all[p] = PartitionInfo{p, st.AsOf.Generation, instant(st.HorizonMS), instant(st.Loaded.NextMS),
			st.Waiting, st.Due, st.Claimed, instant(st.OldestMS)}
	}
	if err != nil {
		return all, fmt.Errorf("partitions: %w", err)
	}
	return all, nil
}

// instant is a time in unix milliseconds, or the zero time.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
