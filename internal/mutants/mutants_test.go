package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each mutant has a name of its own and fits the code, so that a change of the code
// cannot leave one behind unnoticed until all of them are run.
func TestEachMutantFitsTheCode(t *testing.T) {
	names := map[string]bool{}
	for _, m := range all() {
		if names[m.name] {
			t.Errorf("two mutants are called %s", m.name)
		}
		names[m.name] = true
		text, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if n := strings.Count(string(text), m.old); n != 1 {
			t.Errorf("%s: %q stands %d times in %s, want once", m.name, m.old, n, m.file)
		}
	}
	for _, name := range tortured {
		if !names[name] {
			t.Errorf("no mutant is called %s", name)
		}
	}
}
