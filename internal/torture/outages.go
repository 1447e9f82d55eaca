package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/task"
)

// outages are the failovers of one kind and variant: see history.Outage.
type outages struct {
	N          int    `json:"n"`
	Engine     spread `json:"engine_ms"`
	Client     spread `json:"client_ms"` // 0 where it is the engine's
	Deliveries spread `json:"deliveries_ms"`
}

// spread is of some times, in milliseconds.
type spread struct {
	P50 float64 `json:"p50"`
	Max float64 `json:"max"`
}

func newSpread(all []history.Outage, of func(history.Outage) time.Duration) spread {
	times := make([]time.Duration, len(all))
	for i, o := range all {
		times[i] = of(o)
	}
	slices.Sort(times)
	return spread{P50: millis(times[(len(times)-1)/2]), Max: millis(times[len(times)-1])}
}

// String is a dash for each where nothing was measured.
func (s spread) String() string {
	if s == (spread{}) {
		return fmt.Sprintf("%8s %8s", "-", "-")
	}
	return fmt.Sprintf("%8.0f %8.0f", s.P50, s.Max)
}

// failovers reads how long the failovers of the run took, by kind and variant.
func (st *stage) failovers(f io.ReadSeeker) (map[string]outages, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	all, err := history.Outages(f, func(id string) int { return task.Partition(id, st.parts) })
	if err != nil {
		return nil, err
	}
	by := map[string][]history.Outage{}
	for _, o := range all {
		name := strings.TrimSpace(o.Kind + " " + o.Variant)
		by[name] = append(by[name], o)
	}
	table := map[string]outages{}
	for name, some := range by {
		table[name] = outages{N: len(some), Engine: newSpread(some, func(o history.Outage) time.Duration { return o.Engine }),
			Client:     newSpread(some, func(o history.Outage) time.Duration { return o.Client }),
			Deliveries: newSpread(some, func(o history.Outage) time.Duration { return o.Deliveries })}
	}
	return table, nil
}

// printFailovers is the table of them.
func (f figures) printFailovers(out io.Writer) {
	if len(f.Failovers) == 0 {
		return
	}
	fmt.Fprintf(out, "%-28s %4s %17s %17s %17s\n%-28s %4s %8s %8s %8s %8s %8s %8s\n", "failovers: longest time", "", "no write", "no write, client", "no delivery",
		"without (ms)", "n", "p50", "max", "p50", "max", "p50", "max")
	for _, name := range slices.Sorted(maps.Keys(f.Failovers)) {
		o := f.Failovers[name]
		fmt.Fprintf(out, "%-28s %4d %s %s %s\n", name, o.N, o.Engine, o.Client, o.Deliveries)
	}
}
