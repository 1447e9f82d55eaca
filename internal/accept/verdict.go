package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// verdict is what a run showed.
type verdict struct {
	Scenario   string `json:"scenario"`
	Partitions int    `json:"partitions"`
	Tasks      int    `json:"tasks"` // that Create acknowledged
	Lost       int    `json:"lost"`  // of those, never delivered
	Early      int    `json:"early"` // deliveries
	// Duplicates are deliveries after a task's first; Unexplained those whose
	// delivery before was not in the hands of a killed process; Ghosts those
	// that began after the task was confirmed.
	Duplicates  int      `json:"duplicates"`
	Unexplained int      `json:"unexplained"`
	Ghosts      int      `json:"ghosts"`
	Failed      int      `json:"failed_confirms"`
	Late50      float64  `json:"late_p50_ms"` // of first deliveries, as all of these
	Late99      float64  `json:"late_p99_ms"`
	LateMax     float64  `json:"late_max_ms"`
	Figures     []figure `json:"figures,omitempty"`
	Broken      []string `json:"broken,omitempty"` // promises
}

// figure is a measured number of one scenario; its unit is in its name.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

func (r *run) figure(name string, v float64) {
	r.verdict.Figures = append(r.verdict.Figures, figure{name, v})
}

// broke notes a broken promise.
func (r *run) broke(format string, args ...any) {
	r.verdict.Broken = append(r.verdict.Broken, fmt.Sprintf(format, args...))
}

// judge reads what the workers wrote.
func (r *run) judge() error {
	h, v := r.history, &r.verdict
	if err := h.update(); err != nil {
		return err
	}
	v.Tasks = len(r.made)
	for _, id := range r.made {
		if len(h.tasks[id]) == 0 {
			v.Lost++
		}
	}
	v.Early, v.Failed = h.early, h.failed
	v.Duplicates, v.Unexplained, v.Ghosts = h.again(r.fleet.killed)
	slices.Sort(h.late)
	late := func(q float64) float64 { return float64(quantile(h.late, q)) / 1000 }
	v.Late50, v.Late99, v.LateMax = late(0.5), late(0.99), late(1)
	r.never("lost", v.Lost)
	r.never("early", v.Early)
	r.never("delivered again though the worker that held them was alive", v.Unexplained)
	r.never("delivered after they were confirmed", v.Ghosts)
	r.never("confirms that failed", v.Failed)
	r.below("p99 lateness in ms", v.Late99, float64(r.size.late99.Milliseconds()))
	r.below("lateness in ms", v.LateMax, float64(r.size.late.Milliseconds()))
	return nil
}

func (r *run) never(what string, n int) {
	if n > 0 {
		r.broke("%d %s", n, what)
	}
}

// below holds v to a limit, if there is one.
func (r *run) below(what string, v, limit float64) {
	if limit > 0 && v >= limit {
		r.broke("%s is %.3g, to be below %.3g", what, v, limit)
	}
}

// quantile of sorted values; zero of none.
func quantile[T any](sorted []T, q float64) (v T) {
	if len(sorted) == 0 {
		return v
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// String is one line.
func (v verdict) String() string {
	var b strings.Builder
	word := "ok"
	if len(v.Broken) > 0 {
		word = "BROKEN"
	}
	fmt.Fprintf(&b, "%s/p%d: %s: %d tasks, %d lost, %d early, %d duplicates, %d unexplained, %d ghosts, %d failed confirms; late p50 %s p99 %s max %s",
		v.Scenario, v.Partitions, word, v.Tasks, v.Lost, v.Early, v.Duplicates, v.Unexplained, v.Ghosts, v.Failed,
		millis(v.Late50), millis(v.Late99), millis(v.LateMax))
	for _, f := range v.Figures {
		fmt.Fprintf(&b, "; %s %.4g", f.Name, f.Value)
	}
	if len(v.Broken) > 0 {
		b.WriteString("; broken: " + strings.Join(v.Broken, "; "))
	}
	return b.String()
}

func millis(v float64) string {
	return time.Duration(v * float64(time.Millisecond)).Round(100 * time.Microsecond).String()
}
