package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The ratio is the median of those of the rounds: a machine that is ten times as slow in one round changes both builds' figures and
// not their ratio. Rounds that only one build has do not count.
func TestCompareTakesRatiosWithinRounds(t *testing.T) {
	builds := []build{{name: "this"}, {name: "old"}}
	var all []line
	for run, rates := range [][2]float64{{100, 200}, {1000, 2000}, {10, 40}} {
		for i, b := range builds {
			all = append(all, line{Scenario: "create", Variant: "v", System: "triggerhook", Workers: 8, Payload: 100, Run: run, Build: b.name,
				RatePerS: rates[i], RedisUSPerTask: ptr(rates[i])})
		}
	}
	all = append(all, line{Scenario: "create", Variant: "v", System: "triggerhook", Workers: 8, Payload: 100, Run: 3, Build: "this", RatePerS: 1e9},
		line{Scenario: "create", Variant: "v", System: "limit", Workers: 8, Payload: 100, Build: "this", Cannot: "no"})
	var out strings.Builder
	writeRatios(&out, all, builds)
	want := "| create, v, x8, triggerhook | 3 | 0.50 |  |  |  |  |  |  |  |  |  | 0.50 |  |  |  |\n"
	if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "limit") {
		t.Errorf("the ratios are\n%swant\n%sand no limit, which has no figures", out.String(), want)
	}
}

// Both builds measure in each round, and which goes first alternates. The other build is the tests' own program here.
func TestCompareRunsBothBuilds(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(t.TempDir(), "results")
	var out bytes.Buffer
	args := []string{"--with", self, "--scenario", "create", "--variant", "500 a call, due in 1 h", "--system", "embedded", "--n", "50", "--runs", "2", "--json", results}
	if err := compareMain(t.Context(), &out, args); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "| create, 500 a call, due in 1 h, x4, embedded | 2 | ") {
		t.Errorf("the ratios are\n%swant those of 2 rounds", out.String())
	}
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		order = append(order, l.Build)
	}
	if len(order) != 4 || order[0] != "this" || order[1] == "this" || order[2] == "this" || order[3] != "this" {
		t.Errorf("the builds measured in the order %v, want this, other, other, this", order)
	}
}

func TestCompareNamesWhatItCannotRun(t *testing.T) {
	for name, with := range map[string]string{"nothing": "", "no file": filepath.Join(t.TempDir(), "bench"), "no program": "compare_test.go"} {
		err := compareMain(t.Context(), &bytes.Buffer{}, []string{"--with", with, "--system", "embedded"})
		if err == nil || !strings.Contains(err.Error(), "--with") {
			t.Errorf("%s: the error is %v, want one that names --with", name, err)
		}
	}
}
