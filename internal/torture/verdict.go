package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// stories is how many offending tasks have their whole story printed.
const stories = 5

// figures is the verdict as --json prints it.
type figures struct {
	Seed        uint64                 `json:"seed"`
	Kept        bool                   `json:"kept"`
	Tasks       int                    `json:"tasks"`
	Delivered   int                    `json:"delivered"`
	Confirmed   int                    `json:"confirmed"`
	Lost        int                    `json:"lost"`
	Early       int                    `json:"early"`
	Ghosts      int                    `json:"ghosts"`
	AfterDone   int                    `json:"after_confirm"`
	Untrue      int                    `json:"untrue"`
	Stale       int                    `json:"stale"`
	Overdue     int                    `json:"overdue"`
	Duplicates  int                    `json:"duplicates"`
	Unexplained int                    `json:"unexplained_duplicates"`
	Broken      map[string]int         `json:"broken"`                   // all rules, by name
	First       float64                `json:"first_broken_s,omitempty"` // after the run's beginning
	LateP50     float64                `json:"late_ms_p50"`
	LateP99     float64                `json:"late_ms_p99"`
	LateMax     float64                `json:"late_ms_max"`
	Faults      map[string]int         `json:"faults"`
	Variants    map[string]int         `json:"fault_variants"`
	Starved     int                    `json:"starved"`
	Dead        int                    `json:"dead"`
	Upserts     map[history.Result]int `json:"upserts"`
	Committed   int                    `json:"committed"` // acts in transactions of callers
	Aborted     int                    `json:"aborted"`
	TxLateP50   float64                `json:"late_after_commit_ms_p50"`
	TxLateP99   float64                `json:"late_after_commit_ms_p99"`
	TxExposed   int                    `json:"taken_back_before_due"` // by transactions
	TxStale     int                    `json:"claimed_all_the_same"`
	Deadlocks   int                    `json:"deadlocks"`
	Causes      map[string]int         `json:"duplicates_by_cause"`
	Worst       map[string]float64     `json:"worst_late_ms_by_fault"`
	Failovers   map[string]outages     `json:"failovers,omitempty"` // by kind and variant
}

func newFigures(c config, v *history.Verdict) figures {
	f := figures{Seed: c.seed, Kept: v.Kept(), Tasks: v.Tasks, Delivered: v.Delivered, Confirmed: v.Confirmed, Lost: v.Broken[history.Lost],
		Early: v.Broken[history.Early] + v.Broken[history.Inexact], Ghosts: v.Broken[history.Ghost], AfterDone: v.Broken[history.AfterDone],
		Untrue: v.Broken[history.Untrue], Stale: v.Broken[history.Stale], Overdue: v.Broken[history.Overdue], Duplicates: v.Duplicates, Unexplained: v.Broken[history.Unexplained],
		LateP50: millis(v.LateP50), LateP99: millis(v.LateP99), LateMax: millis(v.LateMax), Faults: map[string]int{}, Variants: v.Variants, Starved: v.Starved, Causes: v.Causes, Worst: map[string]float64{}}
	f.Broken, f.Dead, f.Upserts, f.Committed, f.Aborted = v.Broken, v.Dead, v.Upserts, v.Committed, v.Aborted
	f.TxLateP50, f.TxLateP99, f.TxExposed, f.TxStale = millis(v.TxLateP50), millis(v.TxLateP99), v.TxExposed, v.TxStale
	if len(v.Violations) > 0 && v.Violations[0].At < math.MaxInt64 { // that is what was lost in the end
		f.First = float64(v.Violations[0].At-v.Began) / 1e6
	}
	for _, name := range c.faults {
		f.Faults[name] = v.Faults[name] // 0 is told too
	}
	for kind, late := range v.Worst {
		f.Worst[kind] = millis(late)
	}
	return f
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// judge reads the history, prints the verdict on out and what was broken on stories,
// and reports whether the promises were kept. The history of a run that kept them
// is removed unless it is wanted.
func (st *stage) judge(out, stories io.Writer) (bool, error) {
	f, err := os.Open(st.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h, err := history.Read(f)
	if err != nil {
		return false, err
	}
	v := h.Check(history.Limits{Lease: leaseTime, Bound: st.topology().bound, Prompt: promptBound, Drain: drainBound,
		Handed: starvedFor, MaxAttempts: maxAttempts})
	if err := st.tell(stories, f, v); err != nil {
		return false, err
	}
	fig := newFigures(st.config, v)
	fig.Deadlocks = st.deadlocks
	if fig.Failovers, err = st.failovers(f); err != nil {
		return false, err
	}
	if st.json {
		err = json.NewEncoder(out).Encode(fig)
	} else {
		err = fig.print(out)
	}
	if v.Kept() && st.keep == "" {
		return true, os.RemoveAll(st.dir)
	}
	return v.Kept(), err
}

// tell prints what was broken, and the first stories whole.
func (st *stage) tell(out io.Writer, f io.ReadSeeker, v *history.Verdict) error {
	told := map[string]bool{}
	for i, x := range v.Violations {
		if i < 20 {
			fmt.Fprintln(out, x)
		}
		if told[x.ID] || len(told) == stories {
			continue
		}
		told[x.ID] = true
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		lines, err := history.Story(f, x.ID)
		if err != nil {
			return err
		}
		for _, line := range lines {
			fmt.Fprintln(out, "  ", line)
		}
	}
	if !v.Kept() {
		fmt.Fprintf(out, "%d promises broken; the history is %s; to run it again: --topology %s --seed %d --duration %s --workers %d\n", len(v.Violations), st.path,
			st.topologyName, st.seed, st.duration, st.workers)
	}
	return nil
}

func (f figures) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "seed %d: %d tasks, %d delivered, %d confirmed; %d lost, %d early, %d ghosts, %d after confirm, %d untrue, %d stale, %d overdue\n"+
		"%d duplicates, %d unexplained; late p50 %.1f ms p99 %.1f ms max %.1f ms\n", f.Seed, f.Tasks, f.Delivered, f.Confirmed, f.Lost, f.Early, f.Ghosts,
		f.AfterDone, f.Untrue, f.Stale, f.Overdue, f.Duplicates, f.Unexplained, f.LateP50, f.LateP99, f.LateMax)
	fmt.Fprintf(out, "  %5d acts committed in transactions of callers, %d not; late after a commit p50 %.1f ms p99 %.1f ms; %d of %d were claimed after one that took them back\n",
		f.Committed, f.Aborted, f.TxLateP50, f.TxLateP99, f.TxStale, f.TxExposed)
	fmt.Fprintf(out, "  %5d dead letters; upserts: %d created, %d replaced, %d kept\n", f.Dead, f.Upserts[history.Created], f.Upserts[history.Replaced], f.Upserts[history.Kept])
	if f.Deadlocks > 0 {
		fmt.Fprintf(out, "  %5d deadlocks that MySQL had to end\n", f.Deadlocks)
	}
	if f.Starved > 0 {
		fmt.Fprintf(out, "  %5d times the machine did not let a worker run for %s or longer\n", f.Starved, starvedFor)
	}
	for _, cause := range slices.Sorted(maps.Keys(f.Causes)) {
		fmt.Fprintf(out, "  %5d second deliveries: %s\n", f.Causes[cause], cause)
	}
	for _, kind := range slices.Sorted(maps.Keys(f.Faults)) {
		fmt.Fprintf(out, "  %5d %-14s worst lateness after it %8.1f ms%s\n", f.Faults[kind], kind, f.Worst[kind], f.variants(kind))
	}
	f.printFailovers(out)
	return err
}

// variants lists those of a kind of fault, in brackets.
func (f figures) variants(kind string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f.Variants)) {
		if v, is := strings.CutPrefix(name, kind+" "); is {
			all = append(all, fmt.Sprintf("%d %s", f.Variants[name], v))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}
