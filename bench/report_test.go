package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func ptr(v float64) *float64 { return &v }

func sample() []line {
	l := line{Scenario: "create", Variant: "one a call", System: "triggerhook", N: 100, Workers: 8, Payload: 100, Cores: 2, Versions: map[string]string{"mysql": "9.7"}}
	var all []line
	for _, rate := range []float64{900, 100, 500} {
		l.RatePerS, l.P50MS, l.RedisCmdsPerTask = rate, 1000/rate, ptr(rate/100)
		all = append(all, l)
	}
	l.System, l.RatePerS, l.RedisCmdsPerTask = "limit", 1000, nil
	all = append(all, l)
	l.System, l.RatePerS = "river", 250
	all = append(all, l)
	l.System, l.RatePerS, l.Cannot = "asynq", 0, "it has no such call"
	all = append(all, l)
	l.Workers, l.System, l.RatePerS, l.Cannot = 64, "limit", 7, "" // another place: no ratio to it
	return append(all, l)
}

func TestAReportHasMediansAndRatios(t *testing.T) {
	rows := medians(sample())
	if len(rows) != 5 || rows[0].runs != 3 || rows[0].RatePerS != 500 || rows[0].P50MS != 2 || *rows[0].RedisCmdsPerTask != 5 {
		t.Fatalf("%d rows, the first %+v; want 5, of 3 runs, medians 500, 2 and 5", len(rows), rows[0])
	}
	var out strings.Builder
	writeReport(&out, rows)
	for _, want := range []string{
		"## create\n",
		"| one a call, x8 | triggerhook | 100 | 3 | 500.0 | 0.50 |  | 2.00 | 0 | 2.00 |",
		"| one a call, x8 | limit | 100 | 1 | 1000 |  |  | 4.00 |",
		"| one a call, x64 | limit | 100 | 1 | 7.00 |  |  |  |",
		"| one a call, x8 | asynq | cannot: it has no such call |",
		"Measured with: 2 cores, mysql 9.7. A ratio",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	lines := strings.Split(out.String(), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "|") && strings.Count(l, "|") != 22 {
			t.Errorf("%d bars in a row, want 22: %s", strings.Count(l, "|"), l)
		}
	}
}

func TestMediansLeaveTheRunsAlone(t *testing.T) {
	all := sample()
	medians(all)
	if *all[0].RedisCmdsPerTask != 9 || *all[1].RedisCmdsPerTask != 1 {
		t.Errorf("the runs have %g and %g now, want 9 and 1", *all[0].RedisCmdsPerTask, *all[1].RedisCmdsPerTask)
	}
}

func TestPlotsAreSVG(t *testing.T) {
	all := sample()
	for _, workers := range []int{1, 2, 4} {
		all = append(all, line{Scenario: "fleet", Variant: "a < b & c", System: "triggerhook", Workers: workers, RatePerS: float64(workers * 100)})
	}
	all = append(all, line{Scenario: "backlog", System: "limit", N: 10, Series: []point{{Done: 5, RatePerS: 1}, {Done: 10, RatePerS: 2}}},
		line{Scenario: "now", Variant: "one at a time", System: "nats", MeanMS: 2}, line{Scenario: "idle", System: "nats", IdleCPUMSPerS: ptr(3)},
		line{Scenario: "idle", System: "asynq"}, line{Scenario: "recovery", Variant: "feeder killed", System: "triggerhook", GapMS: ptr(4)},
		line{Scenario: "lateness", Variant: "10/s", System: "nats", P99MS: 2, CPUS: 1, N: 10},
		line{Scenario: "grow", Variant: "create", System: "limit", Rows: 10_000, P50MS: 1}, line{Scenario: "grow", Variant: "create", System: "limit", Rows: 100_000, P50MS: 2})
	plots := plotsOf(medians(all))
	for _, name := range []string{"create", "fleet", "backlog", "grow-create", "now", "now-p99", "idle", "recovery", "lateness", "lateness-cpu"} {
		if plots[name] == "" {
			t.Fatalf("there is no plot %q", name)
		}
	}
	for name, svg := range plots {
		dec := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("plot %q is no XML: %v", name, err)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("plot %q has places that are no numbers:\n%s", name, svg)
		}
	}
	if n := strings.Count(plots["create"], "<rect x"); n != 3+4 { // a key a system, a bar a figure
		t.Errorf("plot create has %d rectangles, want 7", n)
	}
	if n := strings.Count(plots["fleet"], "<circle"); n != 3 {
		t.Errorf("plot fleet has %d points, want 3", n)
	}
}
