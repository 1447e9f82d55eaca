package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// compareMain measures two builds of this program side by side: this one, and another that was kept, for example of the branch main.
// In each round each measurement is made by one build and then by the other, on the same servers, and the next round begins with the
// other one. What it writes are the medians of the rounds' ratios, so that a machine whose speed changes by the hour does not matter.
func compareMain(ctx context.Context, out io.Writer, args []string) (err error) {
	var with string
	w, err := parseRun(args, func(f *flag.FlagSet) {
		f.StringVar(&with, "with", "", "the other build of this program (go build -o PATH)")
	})
	if err != nil {
		return err
	}
	builds, err := buildsOf(with)
	if err != nil {
		return err
	}
	file, err := w.results()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	field, err := bring(ctx, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, field.Close()) }()
	var all []line
	var errs []error
	for run := range w.runs {
		lines, err := field.round(ctx, w, run, builds)
		all, errs = append(all, lines...), append(errs, err)
		for _, l := range lines {
			errs = append(errs, json.NewEncoder(file).Encode(l))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	writeRatios(out, all, builds)
	return errors.Join(errs...)
}

// build is a program that measures.
type build struct{ name, path string }

// buildsOf are this program and another, with the names that results have.
func buildsOf(with string) ([]build, error) {
	if with == "" {
		return nil, errors.New("compare: --with names the other build of this program")
	}
	info, err := buildinfo.ReadFile(with)
	if err != nil {
		return nil, fmt.Errorf("compare: --with %s is no program that Go has built: %w", with, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	name := "other"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			name = s.Value[:min(12, len(s.Value))]
		}
	}
	return []build{{"this", self}, {name, with}}, nil
}

// results is where the lines go besides; nowhere without a name.
func (w wish) results() (io.WriteCloser, error) {
	if w.file == "" {
		return nowhere{io.Discard}, nil
	}
	f, err := os.OpenFile(w.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open file of results: %w", err)
	}
	return f, nil
}

type nowhere struct{ io.Writer }

// Close does nothing.
func (nowhere) Close() error { return nil }

// round makes each measurement by both builds. The other one goes first in each second round.
func (f *field) round(ctx context.Context, w wish, run int, builds []build) (all []line, err error) {
	order := slices.Clone(builds)
	if run%2 == 1 {
		slices.Reverse(order)
	}
	var errs []error
	for _, j := range jobs(w) {
		j.Run = run
		for _, b := range order {
			if ctx.Err() != nil {
				return all, ctx.Err()
			}
			lines, err := f.lines(ctx, b, j)
			if err != nil {
				err = fmt.Errorf("build %s: %s %s %s: %w", b.name, j.Scenario, j.Variant.Name, j.System, err)
				fmt.Fprintln(os.Stderr, "bench:", err)
				errs = append(errs, err)
			}
			all = append(all, lines...)
		}
	}
	return all, errors.Join(errs...)
}

// lines are the results of a measurement by a build.
func (f *field) lines(ctx context.Context, b build, j job) (all []line, err error) {
	var out bytes.Buffer
	if err := f.runBy(ctx, b.path, j, &out); err != nil {
		return nil, err
	}
	for dec := json.NewDecoder(&out); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			return all, fmt.Errorf("read a result: %w", err)
		}
		l.Build = b.name
		all = append(all, l)
	}
	return all, nil
}

// compared are the figures of which ratios are written.
var compared = []struct {
	name string
	of   func(line) *float64
}{
	{"rate/s", func(l line) *float64 { return &l.RatePerS }},
	{"mean ms", func(l line) *float64 { return &l.MeanMS }},
	{"p50 ms", func(l line) *float64 { return &l.P50MS }},
	{"p99 ms", func(l line) *float64 { return &l.P99MS }},
	{"p99.9 ms", func(l line) *float64 { return &l.P999MS }},
	{"gap ms", func(l line) *float64 { return l.GapMS }},
	{"create p50 ms", func(l line) *float64 { return l.CreateP50MS }},
	{"create p99 ms", func(l line) *float64 { return l.CreateP99MS }},
	{"cpu s", func(l line) *float64 { return &l.CPUS }},
	{"alloc B/task", func(l line) *float64 { return &l.AllocBytesPerTask }},
	{"Redis us/task", func(l line) *float64 { return l.RedisUSPerTask }},
	{"Redis cmds/task", func(l line) *float64 { return l.RedisCmdsPerTask }},
	{"MySQL stmts/task", func(l line) *float64 { return l.MySQLStmtsPerTask }},
	{"idle Redis cmds/s", func(l line) *float64 { return l.IdleRedisCmdsPerS }},
}

// pairing is a measurement by both builds: the results of each by round.
type pairing struct {
	title string
	runs  [2]map[int]line
}

// pairs puts together what was measured by both builds, in the order of the results.
func pairs(all []line, builds []build) (out []*pairing) {
	byKey := map[string]*pairing{}
	for _, l := range all {
		side := slices.IndexFunc(builds, func(b build) bool { return b.name == l.Build })
		if side < 0 || l.Cannot != "" {
			continue
		}
		l.Build = ""
		key := l.place() + "|" + l.System
		p := byKey[key]
		if p == nil {
			p = &pairing{title: l.Scenario + ", " + row{line: l}.title() + ", " + l.System, runs: [2]map[int]line{{}, {}}}
			byKey[key], out = p, append(out, p)
		}
		p.runs[side][l.Run] = l
	}
	return out
}

// ratio is the median of this build's figure over the other's, each from one round; nil: no round has both.
func (p *pairing) ratio(of func(line) *float64) *float64 {
	var all []float64
	for run, mine := range p.runs[0] {
		a, b := of(mine), of(p.runs[1][run]) // which is 0 if the other build has no such round
		if a != nil && b != nil && *b > 0 {
			all = append(all, *a / *b)
		}
	}
	if len(all) == 0 {
		return nil
	}
	m := median(all)
	return &m
}

// writeRatios writes a row a measurement.
func writeRatios(out io.Writer, all []line, builds []build) {
	fmt.Fprintf(out, "Medians of the ratios of build %s to build %s, each from one round.\n\n", builds[0].name, builds[1].name)
	fmt.Fprint(out, "| what | rounds |")
	for _, c := range compared {
		fmt.Fprintf(out, " %s |", c.name)
	}
	fmt.Fprintln(out, "\n|"+strings.Repeat(" --- |", len(compared)+2))
	for _, p := range pairs(all, builds) {
		fmt.Fprintf(out, "| %s | %d |", p.title, min(len(p.runs[0]), len(p.runs[1])))
		for _, c := range compared {
			text := ""
			if r := p.ratio(c.of); r != nil {
				text = fmt.Sprintf("%.2f", *r)
			}
			fmt.Fprintf(out, " %s |", text)
		}
		fmt.Fprintln(out)
	}
}
