package main

import (
	"os"
	"strings"
	"testing"
)

// What pan of spin 6.5.2 wrote, shortened.
const (
	complete = `
(Spin Version 6.5.2 -- 6 December 2019)
	+ Partial Order Reduction
	+ Compression

Full statespace search for:
	never claim         	- (none specified)
	assertion violations	+
	cycle checks       	- (disabled by -DSAFETY)
	invalid end states	- (disabled by -E flag)

State-vector 68 byte, depth reached 53, errors: 0
     3804 states, stored
     5211 states, matched
hash conflicts:         2 (resolved)
`
	violated = `pan:1: assertion violated  !(deleted) (at depth 35)
pan: wrote hotset.pml.trail

(Spin Version 6.5.2 -- 6 December 2019)
Warning: Search not completed
	+ Partial Order Reduction

Full statespace search for:
	assertion violations	+

State-vector 76 byte, depth reached 56, errors: 1
      584 states, stored
`
)

func TestACompleteSearchIsOne(t *testing.T) {
	if o, err := parse(complete); err != nil || o.violated || o.states != 3804 {
		t.Errorf("got %+v, %v, want 3804 states and no error", o, err)
	}
	if o, err := parse(violated); err != nil || !o.violated || o.states != 584 {
		t.Errorf("got %+v, %v, want a violation after 584 states", o, err)
	}
}

func TestASearchThatWasCutShortIsNeitherAPassNorAFailure(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":        "",
		"killed":         "Depth=  9999 States=    1e+06 Transitions= 4.5e+06 Memory= 1093.726\n",
		"depth":          "error: max search depth too small\n" + complete,
		"memory":         "pan: reached -DMEMLIM bound\n" + complete,
		"violated depth": "error: max search depth too small\n" + violated,
		"not completed":  strings.Replace(complete, "(Spin", "Warning: Search not completed\n(Spin", 1),
		"bits":           strings.Replace(complete, "Full statespace search for:", "Bit statespace search for:", 1),
		"no states":      strings.Replace(complete, "3804 states, stored", "", 1),
		"another error":  strings.Replace(violated, "assertion violated", "invalid end state", 1),
	} {
		if o, err := parse(out); err == nil {
			t.Errorf("%s: got %+v and no error", name, o)
		}
	}
}

// Each variant that a model names is checked, and fails by itself: what it defines
// beside the rule's name is a configuration.
func TestEachVariantIsChecked(t *testing.T) {
	t.Chdir("../..")
	for _, model := range []string{"hotset", "lease", "feed", "outbox", "servers"} {
		text, err := os.ReadFile(models + "/" + model + ".pml")
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "*/")
		_, list, ok := strings.Cut(head, "Variants, each of which must fail:")
		if !ok {
			t.Fatalf("%s.pml does not list its variants", model)
		}
		named := map[string]bool{}
		for _, c := range checks {
			for _, d := range strings.Fields(c.defines) {
				if name, _, _ := strings.Cut(d, "="); c.model == model && c.fails {
					named[name] = true
				}
			}
		}
		n := 0
		for _, part := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" ,;:()\n.", r) }) {
			if len(part) > 2 && part == strings.ToUpper(part) && part != "SELECT" && !strings.Contains(part, "README") {
				if n++; !named[part] {
					t.Errorf("%s.pml names the variant %s, which no check runs", model, part)
				}
			}
		}
		if n == 0 {
			t.Errorf("%s.pml names no variant", model)
		}
	}
}
