package bolt_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

// A file of a newer format is used as it is if it says that this library may; Migrate leaves what it says. Every other
// format is refused by name.
func TestTheFileSaysWhichLibrariesWorkWithIt(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks"))
	if err := s.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	record := func(name, value string) {
		t.Helper()
		r, err := s.Records(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if swapped, err := s.SwapRecord(t.Context(), name, r.Values[name], value); !swapped || err != nil {
			t.Fatalf("record %s: %v, %v", name, swapped, err)
		}
	}
	for _, c := range []struct {
		format, compatible string
		works              bool
	}{
		{"3", "3", true}, {"4", "3", true}, {"99", "1", true}, {"4", "4", false}, {"4", "x", false}, {"4", "0", false}, {"4", "-1", false},
		{"2", "1", false}, {"2", "2", false}, {"x", "3", false}, {"-3", "3", false},
	} {
		record("format", c.format)
		record("compatible", c.compatible)
		for act, err := range map[string]error{"Check": s.Check(t.Context(), 1), "Migrate": s.Migrate(t.Context(), 1)} {
			if c.works != (err == nil) || err != nil && (!errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), fmt.Sprintf("format %q", c.format)) && !strings.Contains(err.Error(), "format "+c.format)) {
				t.Errorf("%s of format %s that is compatible with %s: %v; it works: %v", act, c.format, c.compatible, err, c.works)
			}
		}
		if r, err := s.Records(t.Context()); err != nil || r.Values["format"] != c.format || r.Values["compatible"] != c.compatible {
			t.Errorf("Migrate left format %q, compatible %q, %v; want %s and %s", r.Values["format"], r.Values["compatible"], err, c.format, c.compatible)
		}
	}
}
