package main

import (
	"slices"
	"testing"
)

// Each topology has the faults of worker processes, and those that need a single server
// only where there is one.
func TestATopologyHasItsFaults(t *testing.T) {
	for name, top := range topologies {
		all, err := choose([]string{"all"}, name, true)
		if err != nil || top.bound <= 0 || top.bring == nil {
			t.Errorf("%s: bound %s, %v", name, top.bound, err)
		}
		for _, fault := range []string{"kill", "stop", "drain", "rolling", "clock", "cut", "halfopen"} {
			if !slices.Contains(all, fault) {
				t.Errorf("%s has no %s: %v", name, fault, all)
			}
		}
		for _, fault := range []string{"flushall", "redisold", "mysqlkill", "diskfull", "latereply"} {
			if slices.Contains(all, fault) != (name == single) {
				t.Errorf("%s: %s is one of %v", name, fault, all)
			}
			if _, err := choose([]string{fault}, name, true); (err == nil) != (name == single) {
				t.Errorf("%s, asked for %s: %v", name, fault, err)
			}
		}
	}
}

func TestATopologyBringsItsOwnServers(t *testing.T) {
	for _, args := range [][]string{{"--topology", "ring"}, {"--topology", ""}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	for name := range topologies {
		if _, err := parse([]string{"--topology", name, "--faults", "kill"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := parse([]string{"--topology", name, "--faults", "kill", "--mysql", "a", "--redis", "b"})
		if (err == nil) != (name == single) {
			t.Errorf("%s on servers that it did not start: %v", name, err)
		}
	}
}
