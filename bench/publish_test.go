package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measured are results of two systems and two runs each, one of them not flushed.
func measured() (all []line) {
	for run := range 2 {
		for i, system := range []string{"triggerhook", "asynq"} {
			ms := []float64{0.5, 2000}[i] * float64(run+1)
			l := line{Scenario: "lateness", Variant: "1000/s", System: system, N: 10_000, Workers: 1, Payload: 100, Cores: 2, Day: "2026-12-01", Run: run,
				RatePerS: []float64{1000, 400}[i], P50MS: ms, P99MS: 2 * ms, P999MS: 3 * ms, MaxMS: 4 * ms, CPUS: 10, Versions: map[string]string{"go": "go1.26"}}
			for k := range quantiles {
				l.QuantilesMS = append(l.QuantilesMS, ms*float64(k+1))
			}
			all = append(all, l)
			l.Unflushed, l.CPUS = true, 5
			all = append(all, l)
		}
	}
	return all
}

// pagesIn makes a folder of pages that have blocks for figures.
func pagesIn(t *testing.T, readme string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "docs", "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{readmePage: readme, figurePage: "a\n" + blockBegin + "\n" + blockEnd + "\nz\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What is published are medians, those of stores that flush apart from the others, and nothing outside of the blocks changes.
func TestPublishWritesTablesAndPlot(t *testing.T) {
	dir := pagesIn(t, "before\n"+blockBegin+"\nold\n"+blockEnd+"\nafter\n")
	files, err := published(dir, medians(measured()))
	if err != nil {
		t.Fatal(err)
	}
	for page, wants := range map[string][]string{
		readmePage: {"before\n" + blockBegin + "\n", "| late at 1,000/s, p50 / p99 / p99.9 / max ms | 0.75 / 1.50 / 2.25 / 3 | 3,000 / 6,000 / 9,000 / 12,000, at 400/s |  |  |  |\n",
			"](docs/images/lateness.svg)", "Measured on 2026-12-01 on 2 cores, medians of at least 2, with go go1.26.", blockEnd + "\nafter\n"},
		figurePage: {"a\n", "](images/lateness.svg)", "| processor time a task at 1,000/s | 1,000 us | 1,000 us |", "No store flushes", "| processor time a task at 1,000/s | 500 us | 500 us |"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[page], want) {
				t.Errorf("%s lacks %q:\n%s", page, want, files[page])
			}
		}
		if strings.Contains(files[page], "old") {
			t.Errorf("%s still has the block that was there:\n%s", page, files[page])
		}
	}
	again := filepath.Join(dir, readmePage)
	if err := os.WriteFile(again, []byte(files[readmePage]), 0o644); err != nil {
		t.Fatal(err)
	}
	if twice, err := published(dir, medians(measured())); err != nil || twice[readmePage] != files[readmePage] {
		t.Errorf("published twice, the page is %v\n%s\nwant what it was", err, twice[readmePage])
	}
}

// Without a block in a page, or without lateness in the results, no file changes.
func TestPublishChangesAllOrNothing(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results")
	if err := os.WriteFile(results, []byte(`{"scenario":"create","system":"asynq","rate_per_s":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	whole := blockBegin + "\n" + blockEnd
	for name, c := range map[string]struct{ readme, want string }{
		"no lateness": {whole, "no lateness"},
		"no block":    {"text", "it must have one"},
		"two blocks":  {whole + whole, "it must have one"},
	} {
		dir := pagesIn(t, c.readme)
		rows := medians(measured())
		var err error
		if name == "no lateness" {
			err = publishMain([]string{"--root", dir, results})
		} else {
			_, err = published(dir, rows)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want %q", name, err, c.want)
		}
		if text, err := os.ReadFile(filepath.Join(dir, readmePage)); err != nil || string(text) != c.readme {
			t.Errorf("%s: the page is %q, %v, want what it was", name, text, err)
		}
	}
}

func TestTheLatenessPlotIsWhole(t *testing.T) {
	svg, err := latenessPlot(medians(measured()))
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("it is no XML: %v\n%s", err, svg)
		}
	}
	if n := strings.Count(svg, "<polyline"); n != 2 || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("the plot has %d lines, want 2, and only numbers:\n%s", n, svg)
	}
	if !strings.Contains(svg, ">asynq, 400/s<") || !strings.Contains(svg, ">Trigger Hook<") {
		t.Errorf("the plot does not say which system did not keep up:\n%s", svg)
	}
	if !strings.Contains(svg, "prefers-color-scheme: dark") || !strings.Contains(svg, "Trigger Hook at 1,000 tasks/s: median 0.75 ms") {
		t.Errorf("the plot has no dark style, or does not say in words what it shows:\n%s", svg)
	}
}

// Labels keep their order and do not cover each other.
func TestLabelsStandApart(t *testing.T) {
	got := apart([]float64{100, 50, 101, 102}, 15)
	want := []float64{100, 50, 115, 130}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("the labels stand at %v, want %v", got, want)
		}
	}
}

func TestTimesAreReadable(t *testing.T) {
	for ms, want := range map[float64]string{0.5: "0.5 ms", 336.8: "336.8 ms", 1000: "1.00 s", 66942: "66.94 s"} {
		if got := readable(ms); got != want {
			t.Errorf("%g ms are written %q, want %q", ms, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0.1: "0.1", 1: "1", 12.345: "12.35", 999: "999", 1000: "1,000", 1234567: "1,234,567", 123.45: "123.5"} {
		if got := thousands(v); got != want {
			t.Errorf("%g is written %q, want %q", v, got, want)
		}
	}
}
