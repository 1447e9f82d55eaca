package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// verdictOn judges a run of tasks a, b and c whose workers wrote these lines;
// process 9 was killed.
func verdictOn(t *testing.T, lines string) (verdict, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acts")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(lines, "; ", "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &run{made: []string{"a", "b", "c"}, history: newHistory(path), fleet: fleet{killed: map[int]bool{9: true}}}
	err := r.judge()
	return r.verdict, err
}

const (
	a = "b a 1 500; d a 1 0; "
	b = "b b 2 1500; d b 2 0; "
	c = "b c 9 900; d c 9 0"
)

func TestABrokenPromiseIsSeen(t *testing.T) {
	for name, v := range map[string]struct{ lines, want string }{
		"none is broken":                 {a + b + c, ""},
		"the killed one had it":          {a + b + "b c 9 900; b c 1 7000; d c 1 0", ""},
		"two killed ones had it":         {a + b + "b c 9 900; b c 9 5000; b c 1 7000; d c 1 0", ""},
		"one is lost":                    {a + c, "1 lost"},
		"one is early":                   {a + b + "b c 1 -1; d c 1 0", "1 early"},
		"one in living hands came again": {a + b + "b c 1 900; b c 2 950; d c 1 0", "1 delivered again though the worker that held them was alive"},
		"one was given up":               {a + b + "b c 1 900; l c 1 0; b c 2 950; d c 2 0", "1 delivered again though the worker that held them was alive"},
		"one rose from the dead":         {a + b + c + "; b c 1 950; d c 1 0", "1 delivered again though the worker that held them was alive; 1 delivered after they were confirmed"},
		"one was not confirmed":          {a + b + "b c 1 900; f c 1 0", "1 confirms that failed"},
	} {
		got, err := verdictOn(t, v.lines)
		if broken := strings.Join(got.Broken, "; "); err != nil || broken != v.want {
			t.Errorf("%s: %s: broken is %q, %v, want %q", name, v.lines, broken, err, v.want)
		}
	}
}

func TestStrangeLinesAreRefused(t *testing.T) {
	for _, lines := range []string{"b a 1", "b a x 5", "b a 1 5; d a 2 0", "d a 1 0", "what a 1 0"} {
		if v, err := verdictOn(t, lines); err == nil {
			t.Errorf("%s: %s", lines, v)
		}
	}
}

// What is written while the history is read is read the next time, a line that is
// written in part too.
func TestHistoryIsReadAsItGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acts")
	h := newHistory(path)
	for _, step := range []struct {
		more string
		held int
	}{{"", 0}, {"b a 1 5\nb b 1", 1}, {" 5\n", 2}, {"d a 1 0\n", 1}} {
		f, err := appendTo(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(step.more); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := h.update(); err != nil || h.held()[1] != step.held {
			t.Errorf("after %q process 1 holds %d, %v, want %d", step.more, h.held()[1], err, step.held)
		}
	}
}

func TestScenariosAreChosenByName(t *testing.T) {
	for names, want := range map[string]int{"": len(scenarios), "kill,burst": 2, "burst,storm": -1} {
		got, err := choose(names)
		if (err != nil) != (want < 0) || err == nil && len(got) != want {
			t.Errorf("choose(%q) is %d scenarios, %v", names, len(got), err)
		}
	}
	two, _ := choose("kill,burst")
	if !slices.ContainsFunc(two, func(s scenario) bool { return s.name == "kill" }) {
		t.Errorf("kill is not among %v", two)
	}
}
