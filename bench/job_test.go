package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Each variant of each scenario has a profile of its own, whatever its name has in it.
func TestEachVariantHasAProfileInTheFolder(t *testing.T) {
	seen := map[string]bool{}
	for _, j := range jobs(wish{scenarios: scenarioNames(), systems: systemNames}) {
		name := j.profileName()
		if name != filepath.Base(name) || seen[name] {
			t.Errorf("%s %q of %s is profiled into %q: want one file of its own, with no folder", j.Scenario, j.Variant.Name, j.System, name)
		}
		seen[name] = true
	}
}

// The process of a measurement writes its profile, here of a variant with a slash in its name.
func TestAMeasurementWritesItsProfile(t *testing.T) {
	dir := t.TempDir()
	f := &field{versions: map[string]string{}}
	for _, j := range jobs(wish{scenarios: []string{"lateness"}, systems: []string{"embedded"}, variant: "1000/s", n: 50, profile: dir}) {
		var out bytes.Buffer
		if err := f.run(t.Context(), j, &out); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(filepath.Join(dir, j.profileName()))
		if err != nil || st.Size() == 0 {
			t.Errorf("the profile of %s %s: %v, %v; want a file that is not empty", j.Scenario, j.Variant.Name, st, err)
		}
	}
}
