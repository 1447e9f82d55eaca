package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// reportMain writes a report of the results in files: Markdown to standard output,
// and plots into a folder.
func reportMain(args []string) error {
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	plots := f.String("plots", "", "write the plots into this folder, as SVG")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("report: which files?")
	}
	var all []line
	for _, name := range f.Args() {
		lines, err := readLines(name)
		if err != nil {
			return err
		}
		all = append(all, lines...)
	}
	rows := medians(all)
	out := bufio.NewWriter(os.Stdout)
	writeReport(out, rows)
	if err := out.Flush(); err != nil || *plots == "" {
		return err
	}
	if err := os.MkdirAll(*plots, 0o755); err != nil {
		return fmt.Errorf("folder of plots: %w", err)
	}
	for name, svg := range plotsOf(rows) {
		if err := os.WriteFile(filepath.Join(*plots, name+".svg"), []byte(svg), 0o644); err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	return nil
}

func readLines(name string) (all []line, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for {
		var l line
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read results in %s: %w", name, err)
		}
		all = append(all, l)
	}
}

// row is what the runs of one measurement gave: the median of each figure.
type row struct {
	line
	runs int
}

// place is what is compared with one another: systems side by side.
func (l line) place() string {
	return fmt.Sprint(l.Scenario, "|", l.Variant, "|", l.Rows, "|", l.Workers, "|", l.Payload, "|", l.RTTMS, "|", l.Partitions, "|", l.Unflushed, "|", l.Build)
}

// medians takes the runs of each measurement together, in the order in which they
// came first. The figures of a row are medians, each for itself; its series is that
// of the run with the median rate.
func medians(all []line) (rows []row) {
	byKey := map[string][]line{}
	var order []string
	for _, l := range all {
		key := l.place() + "|" + l.System + "|" + strconv.Itoa(l.N)
		if byKey[key] == nil {
			order = append(order, key)
		}
		byKey[key] = append(byKey[key], l)
	}
	for _, key := range order {
		runs := byKey[key]
		slices.SortStableFunc(runs, func(a, b line) int { return cmp.Compare(a.RatePerS, b.RatePerS) })
		r := row{line: runs[(len(runs)-1)/2].clone(), runs: len(runs)}
		for i, to := range r.figures() {
			var values []float64
			for k := range runs {
				if v := runs[k].figures()[i]; v != nil {
					values = append(values, *v)
				}
			}
			if to != nil {
				*to = median(values)
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// median of an even number of values is the mean of the middle two.
func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// writeReport writes a table a scenario, with the rate's ratios to limit and to the
// best of the peers.
func writeReport(out io.Writer, rows []row) {
	for _, name := range scenarioOrder {
		var mine []row
		for _, r := range rows {
			if r.Scenario == name {
				mine = append(mine, r)
			}
		}
		if len(mine) == 0 {
			continue
		}
		fmt.Fprintf(out, "## %s\n\n", name)
		fmt.Fprintln(out, "| variant | system | n | runs | rate/s | of limit | of asynq | of river | mean ms | p50 ms | p99 ms | p99.9 ms | max ms | first ms "+
			"| cpu s | cpu us/task | alloc B/task | Redis cmds/task | Redis us/task | MySQL stmts/task | RSS MB |")
		fmt.Fprintln(out, "|"+strings.Repeat(" --- |", 21))
		for _, r := range mine {
			writeRow(out, r, rows)
		}
		fmt.Fprintln(out)
		writeIdle(out, mine)
		writeGaps(out, mine)
		writeSeries(out, mine)
	}
	writeFoot(out, rows)
}

func writeRow(out io.Writer, r row, rows []row) {
	if r.Cannot != "" {
		fmt.Fprintf(out, "| %s | %s | cannot: %s |%s\n", r.title(), r.System, r.Cannot, strings.Repeat(" |", 18))
		return
	}
	ratio := func(system string) string {
		for _, other := range rows {
			if other.place() == r.place() && other.System == system && other.System != r.System && other.RatePerS > 0 {
				of := fmt.Sprintf("%.2f", r.RatePerS/other.RatePerS)
				if other.N != r.N {
					of = "~" + of
				}
				return of
			}
		}
		return ""
	}
	cells := []string{r.title(), r.System, strconv.Itoa(r.N), strconv.Itoa(r.runs), figure(r.RatePerS), ratio("limit"), ratio("asynq"), ratio("river"),
		figure(r.MeanMS), figure(r.P50MS), figure(r.P99MS), figure(r.P999MS), figure(r.MaxMS), optional(r.FirstMS), figure(r.CPUS), figure(cpuUS(r)), figure(r.AllocBytesPerTask),
		optional(r.RedisCmdsPerTask), optional(r.RedisUSPerTask), optional(r.MySQLStmtsPerTask), figure(r.RSSMB)}
	fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
}

// title names a row's variant with what it varies.
func (r row) title() string {
	var parts []string
	if r.Variant != "" {
		parts = append(parts, r.Variant)
	}
	if r.Rows > 0 {
		parts = append(parts, fmt.Sprintf("%d rows", r.Rows))
	}
	parts = append(parts, "x"+strconv.Itoa(r.Workers))
	if r.Payload != 100 {
		parts = append(parts, fmt.Sprintf("%d B", r.Payload))
	}
	if r.Unflushed {
		parts = append(parts, "not flushed")
	}
	if r.Build != "" {
		parts = append(parts, "build "+r.Build)
	}
	if r.RTTMS > 0 {
		parts = append(parts, fmt.Sprintf("rtt %g ms", r.RTTMS))
	}
	if r.Partitions > 0 {
		parts = append(parts, fmt.Sprintf("%d partitions", r.Partitions))
	}
	return strings.Join(parts, ", ")
}

// figure writes three digits that count.
func figure(v float64) string {
	switch {
	case v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return figure(*v)
}

func writeIdle(out io.Writer, rows []row) {
	for _, r := range rows {
		if r.IdleRedisCmdsPerS != nil || r.IdleCPUMSPerS != nil {
			fmt.Fprintf(out, "- idle, %s, %d processes: %s commands of Redis a second, %s statements of MySQL, %s ms of processor time; then %d duplicates\n", r.System,
				r.Workers, cmp.Or(optional(r.IdleRedisCmdsPerS), "no"), cmp.Or(optional(r.IdleMySQLStmtsPerS), "no"),
				cmp.Or(optional(r.IdleCPUMSPerS), "unknown"), r.Duplicates)
		}
	}
}

func writeGaps(out io.Writer, rows []row) {
	for _, r := range having(rows, gapOf) {
		fmt.Fprintf(out, "- %s, %s: nothing was delivered for %s ms, the next task that fell due came after %s ms; %d came again\n", r.System, r.title(),
			optional(r.GapMS), optional(r.FirstMS), r.Duplicates)
	}
}

func writeSeries(out io.Writer, rows []row) {
	for _, r := range rows {
		if len(r.Series) < 2 {
			continue
		}
		first, last := r.Series[0], r.Series[len(r.Series)-1]
		fmt.Fprintf(out, "- drain of %s: first tenth %s/s, last tenth %s/s (%.2f of it), Redis at most %s MB, %s undo logs to purge at the end\n", r.System,
			figure(first.RatePerS), figure(last.RatePerS), last.RatePerS/max(first.RatePerS, 1), figure(last.RedisMB), figure(last.Purge))
	}
	fmt.Fprintln(out)
}

// writeFoot says where it was measured.
func writeFoot(out io.Writer, rows []row) {
	seen := map[string]bool{}
	for _, r := range rows {
		for name, v := range r.Versions {
			seen[name+" "+v] = true
		}
		seen[fmt.Sprintf("%d cores", r.Cores)] = true
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	fmt.Fprintf(out, "Measured with: %s. A ratio with ~ is one of different numbers of tasks.\n", strings.Join(all, ", "))
}
