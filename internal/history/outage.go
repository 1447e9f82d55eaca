package history

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Outage is what a fault of a server cost, which another server takes the place of.
type Outage struct {
	Kind, Variant string // of the fault
	// Engine is the longest time, while the fault lasted, in which the servers took no
	// write; Client the same of a plain client of the driver. What was not measured is 0.
	Engine, Client time.Duration
	// Deliveries is the longest time in which a partition that the fault hits had no
	// delivery, from the fault's beginning on, of those times that begin before its end.
	Deliveries time.Duration
}

// Outages reads what faults cost that measured it. Partition is the partition of a task. A
// partition has no delivery either when nothing is due in it, so a short time says nothing.
func Outages(r io.Reader, partition func(id string) int) ([]Outage, error) {
	begun, got := map[call]Event{}, map[int][]int64{}
	var ended []Event
	err := lines(r, func(e Event, _ []byte) {
		key := call{e.Who, e.Call, Fault, ""}
		switch {
		case e.Op == Deliver:
			p := partition(e.ID)
			got[p] = append(got[p], e.At)
		case e.Op == Fault && !e.End:
			begun[key] = e
		case e.Op == Fault && e.EngineUS > 0:
			e.Began = begun[key].At
			ended = append(ended, e)
		}
	}, func() {})
	if err != nil {
		return nil, fmt.Errorf("outages: %w", err)
	}
	for _, times := range got {
		slices.Sort(times)
	}
	var all []Outage
	for _, e := range ended {
		o := Outage{Kind: e.Kind, Variant: e.Variant, Engine: time.Duration(e.EngineUS) * time.Microsecond, Client: time.Duration(e.ClientUS) * time.Microsecond}
		hit := e.Partitions
		if len(hit) == 0 {
			hit = slices.Collect(maps.Keys(got))
		}
		for _, p := range hit {
			o.Deliveries = max(o.Deliveries, silence(got[p], e.Began, e.At))
		}
		all = append(all, o)
	}
	return all, nil
}

// silence is the longest time between two of times, from begin on, that began before end.
func silence(times []int64, begin, end int64) (longest time.Duration) {
	last := begin
	for _, at := range times {
		if at < begin {
			continue
		}
		if last > end {
			break
		}
		longest = max(longest, time.Duration(at-last)*time.Microsecond)
		last = at
	}
	return longest
}
