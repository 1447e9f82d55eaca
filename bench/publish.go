package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// publishMain writes what the pages show of results: the plot of lateness, and the tables beside the peers in README.md and
// docs/performance.md, between two comments that name them. It changes nothing unless it can write all of it.
func publishMain(args []string) error {
	f := flag.NewFlagSet("publish", flag.ContinueOnError)
	root := f.String("root", "..", "the folder that has README.md and docs")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("publish: which files of results?")
	}
	var all []line
	for _, name := range f.Args() {
		lines, err := readLines(name)
		if err != nil {
			return err
		}
		all = append(all, lines...)
	}
	files, err := published(*root, medians(all))
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(*root, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

const (
	readmePage = "README.md"
	figurePage = "docs/performance.md"
	lateFile   = "docs/images/lateness.svg"
)

// published are the files that change, by their names below root.
func published(root string, rows []row) (map[string]string, error) {
	plot, err := latenessPlot(rows)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	files := map[string]string{lateFile: plot}
	for page, block := range map[string]string{readmePage: readmeBlock(rows), figurePage: figureBlock(rows)} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		if files[page], err = replaceBlock(string(text), block); err != nil {
			return nil, fmt.Errorf("publish: %s: %w", page, err)
		}
	}
	return files, nil
}

// The comments between which a page has its block.
const (
	blockBegin = "<!-- measured: make bench-peers -->"
	blockEnd   = "<!-- measured until here -->"
)

func replaceBlock(page, block string) (string, error) {
	before, rest, begins := strings.Cut(page, blockBegin)
	_, after, ends := strings.Cut(rest, blockEnd)
	if !begins || !ends || strings.Contains(after, blockBegin) {
		return "", fmt.Errorf("it must have one %q and then %q", blockBegin, blockEnd)
	}
	return before + blockBegin + "\n" + block + blockEnd + after, nil
}

// stores name what a system keeps its tasks in.
var stores = map[string]string{"triggerhook": "MySQL and Redis", "asynq": "Redis", "river": "PostgreSQL", "nats": "JetStream", "bullmq": "Redis"}

// tableRow is a row of a table: what, and how it is written of one measurement.
type tableRow struct {
	what, scenario, variant string
	workers                 int // 0: any
	write                   func(row) string
}

// keepsUp is the part of a rate that is asked for with which a system keeps up.
const keepsUp = 0.9

// percentiles are how late, from the median to the most. A system that does not keep up with the rate that is asked for says what it did.
func percentiles(asked float64) func(row) string {
	return func(r row) string {
		text := fmt.Sprintf("%s / %s / %s / %s", thousands(r.P50MS), thousands(r.P99MS), thousands(r.P999MS), thousands(r.MaxMS))
		if asked > 0 && r.RatePerS < keepsUp*asked {
			text += fmt.Sprintf(", at %s/s", thousands(math.Round(r.RatePerS)))
		}
		return text
	}
}

func perS(r row) string    { return thousands(r.RatePerS) + "/s" }
func perCore(r row) string { return thousands(r.RatePerS/float64(max(r.Cores, 1))) + "/s" }
func perTask(r row) string { return thousands(cpuUS(r)) + " us" }
func meanP99(r row) string { return thousands(r.MeanMS) + " / " + thousands(r.P99MS) + " ms" }
func toLast(r row) string  { return readable(r.MaxMS) + ", of " + thousands(float64(r.N)) }
func idleCPU(r row) string { return optional(r.IdleCPUMSPerS) + " ms/s" }

// readable writes milliseconds, and seconds from one second on.
func readable(ms float64) string {
	if ms < 1000 {
		return figure(ms) + " ms"
	}
	return figure(ms/1000) + " s"
}

// peerRows are the tables' rows. The short table of README.md has the first ones.
var peerRows = []tableRow{
	{"create, one a call, 8 callers", "create", "one a call, due in 1 h", 8, perS},
	{"create, deliver and confirm at once, a core", "sustained", "20000/s asked for", 0, perCore},
	{"late then, p50 / p99 / p99.9 / max ms", "sustained", "20000/s asked for", 0, percentiles(0)},
	{"late at 100/s, p50 / p99 / p99.9 / max ms", "lateness", "100/s", 0, percentiles(100)},
	{"late at 1,000/s, p50 / p99 / p99.9 / max ms", "lateness", "1000/s", 0, percentiles(1000)},
	{"create to handler, due at once, idle: mean / p99", "now", "one at a time", 0, meanP99},
	{"many tasks of one instant, 2 processes: the last after", "burst", "one instant", 2, toLast},
	{"processor time a task at 10/s, all processes", "lateness", "10/s", 0, perTask},
	{"processor time a task at 100/s", "lateness", "100/s", 0, perTask},
	{"processor time a task at 1,000/s", "lateness", "1000/s", 0, perTask},
	{"idle, 10 workers: processor time, all processes", "idle", "nothing due", 10, idleCPU},
}

const readmeRows = 7

func readmeBlock(rows []row) string {
	return peerTable(rows, peerRows[:readmeRows], false) + "\n![How late tasks come, beside the peers, by percentile](" + lateFile + ")\n\n" + measuredOn(rows)
}

func figureBlock(rows []row) string {
	var b strings.Builder
	b.WriteString("Each store flushes at each commit:\n\n" + peerTable(rows, peerRows, false))
	if table := peerTable(rows, peerRows, true); table != "" {
		b.WriteString("\nNo store flushes at each commit (`--flush=false`): what was answered in the last second, with NATS in the last two minutes, may be\nlost with the machine:\n\n" + table)
	}
	b.WriteString("\n![How late tasks come, beside the peers, by percentile](images/lateness.svg)\n\n")
	if table := recoveryTable(rows); table != "" {
		b.WriteString("How long nothing is delivered though tasks are due, after a fault:\n\n" + table + "\n")
	}
	b.WriteString(measuredOn(rows))
	return b.String()
}

// peerTable has a column a system and a row that at least one of them has figures for; empty without any.
func peerTable(rows []row, want []tableRow, unflushed bool) string {
	var b strings.Builder
	for _, t := range want {
		cells, any := make([]string, len(latePlotted)), false
		for i, system := range latePlotted {
			if r := t.find(rows, system, unflushed); r != nil {
				cells[i], any = t.write(*r), true
			}
		}
		if any {
			fmt.Fprintf(&b, "| %s | %s |\n", t.what, strings.Join(cells, " | "))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	head := "| |"
	for _, system := range latePlotted {
		head += fmt.Sprintf(" %s (%s) |", strings.Replace(systemTitles[system], "@at", "`@at`", 1), stores[system])
	}
	return head + "\n|" + strings.Repeat(" --- |", len(latePlotted)+1) + "\n" + b.String()
}

// find is the measurement of a system that a row is about; nil if there is none.
func (t tableRow) find(rows []row, system string, unflushed bool) *row {
	i := slices.IndexFunc(rows, func(r row) bool {
		return r.Scenario == t.scenario && r.Variant == t.variant && r.System == system && r.Unflushed == unflushed && r.Cannot == "" &&
			r.RTTMS == 0 && r.Partitions == 0 && r.Build == "" && (t.workers == 0 || r.Workers == t.workers)
	})
	if i < 0 {
		return nil
	}
	return &rows[i]
}

// recoveryTable has a row a fault; empty without any.
func recoveryTable(rows []row) string {
	var b strings.Builder
	for _, r := range rows {
		if r.Scenario == "recovery" && r.Cannot == "" && r.Build == "" && r.GapMS != nil {
			fmt.Fprintf(&b, "| %s | %s ms | %s ms | %s ms | %d |\n", r.Variant, thousands(*r.GapMS), thousands(r.P99MS), thousands(r.MaxMS), r.Duplicates)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "| fault | longest gap | p99 lateness | most lateness | delivered again |\n| --- | --- | --- | --- | --- |\n" + b.String()
}

// measuredOn says when, where and with what.
func measuredOn(rows []row) string {
	var days, versions []string
	cores, runs := 0, rows[0].runs
	for _, r := range rows {
		days, cores, runs = append(days, r.Day), max(cores, r.Cores), min(runs, r.runs)
		for name, v := range r.Versions {
			versions = append(versions, name+" "+v)
		}
	}
	for _, list := range []*[]string{&days, &versions} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return fmt.Sprintf("Measured on %s on %d cores, medians of at least %d, with %s.\n", cmp.Or(strings.Join(days, ", "), "an unknown day"), cores, runs,
		strings.Join(versions, ", "))
}
