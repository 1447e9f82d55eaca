package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// part is what a suite measures of one scenario.
type part struct {
	scenario, variant string
	n, workers        int
	systems           []string
}

// inTurn are the systems of most parts.
var inTurn = append([]string{"triggerhook"}, peers...)

// quick are those of inTurn that flush many tasks at a time. NATS, which flushes one after another, gets fewer tasks.
var quick = slices.DeleteFunc(slices.Clone(inTurn), func(s string) bool { return s == "nats" })

// suites are lists of measurements that belong together, each small enough that a suite takes minutes.
var suites = map[string][]part{
	// What README.md and docs/performance.md show beside the peers: ten minutes.
	"peers": {
		{"create", "one a call, due in 1 h", 30_000, 8, quick},
		{"create", "one a call, due in 1 h", 10_000, 8, []string{"nats"}},
		{"sustained", "", 20_000, 0, quick},
		{"sustained", "", 3000, 0, []string{"nats"}},
		{"lateness", "1000/s", 50_000, 0, quick},
		{"lateness", "1000/s", 20_000, 0, []string{"nats"}},
		{"lateness", "100/s", 50_000, 0, inTurn},
		{"lateness", "10/s", 50_000, 0, []string{"triggerhook", "asynq", "river"}},
		{"now", "", 2000, 0, inTurn},
		{"burst", "one instant", 20_000, 2, quick},
		{"burst", "one instant", 1000, 2, []string{"nats"}},
		{"idle", "", fullIdle, 0, []string{"triggerhook", "asynq", "river"}},
		{"recovery", "feeder killed", 4000, 0, []string{"triggerhook"}},
		{"recovery", "Redis restarted", 4000, 0, []string{"triggerhook"}},
		{"recovery", "MySQL failover", 4000, 0, []string{"triggerhook"}},
		{"recovery", "rolling deploy", 4000, 0, []string{"triggerhook"}},
	},
	// The same without a flush at each commit, as far as that matters: two minutes, with --flush=false.
	"unflushed": {
		{"create", "one a call, due in 1 h", 30_000, 8, inTurn},
		{"sustained", "", 20_000, 0, inTurn},
		{"lateness", "1000/s", 50_000, 0, inTurn},
	},
}

func suiteNames() []string { return slices.Sorted(maps.Keys(suites)) }

// suited has w measure a suite, of the systems that were asked for by name, or of all that it has.
func (w wish) suited(name string, named bool) (wish, error) {
	parts, known := suites[name]
	if !known {
		return w, fmt.Errorf("there is no suite %q, but %s", name, strings.Join(suiteNames(), ", "))
	}
	if w.n > 0 || w.workers > 0 || w.variant != "" {
		return w, errors.New("--suite has its own scenarios, variants and numbers: it goes with --system, --runs, --flush, --json, --rtt and --cpuprofile")
	}
	var used []string
	for _, p := range parts {
		p.systems = slices.DeleteFunc(slices.Clone(p.systems), func(s string) bool { return named && !slices.Contains(w.systems, s) })
		if len(p.systems) > 0 {
			w.parts, used = append(w.parts, p), append(used, p.systems...)
		}
	}
	w.systems = slices.DeleteFunc(slices.Clone(systemNames), func(s string) bool { return !slices.Contains(used, s) })
	return w, nil
}

// jobs lists the measurements of one run: of a suite part by part.
func jobs(w wish) (all []job) {
	if w.parts == nil {
		return scenarioJobs(w)
	}
	for _, p := range w.parts {
		one := w
		one.scenarios, one.variant, one.n, one.workers, one.systems = []string{p.scenario}, p.variant, p.n, p.workers, p.systems
		all = append(all, scenarioJobs(one)...)
	}
	return all
}
