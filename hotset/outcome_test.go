package hotset

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each verb tells only what it can return: a code of another script is an error, and not a value that its
// caller has no case for.
func TestEachScriptTellsOnlyItsOwnOutcomes(t *testing.T) {
	type reads func(code int64) (string, bool)
	for verb, c := range map[string]struct {
		read  reads
		codes []int64
	}{
		"add":      {named(addOutcome), []int64{codeWaiting, codeBeyond, codeDead, codePresent}},
		"register": {named(registerOutcome), []int64{codeClaimed, codeElsewhere, codeDead}},
		"remove":   {named(removeOutcome), []int64{codeAbsent, codeWaiting, codeClaimed}},
		"release":  {named(releaseOutcome), []int64{codeAbsent, codeWaiting, codeClaimed, codeElsewhere, codeBeyond, codeDead}},
		"find":     {named(findOutcome), []int64{codeAbsent, codeWaiting, codeClaimed, codeOrphan, codeAgain}},
	} {
		seen := map[string]int64{}
		for code := int64(-1); code <= 9; code++ {
			name, ok := c.read(code)
			if want := slices.Contains(c.codes, code); ok != want {
				t.Errorf("%s.lua: code %d is read: %t, want %t", verb, code, ok, want)
			}
			if other, twice := seen[name]; ok && twice {
				t.Errorf("%s.lua: codes %d and %d are both read as outcome %s", verb, other, code, name)
			}
			if ok {
				seen[name] = code
			}
		}
	}
}

func named[T any](of func(code int64) (T, bool)) func(int64) (string, bool) {
	return func(code int64) (string, bool) {
		o, ok := of(code)
		return fmt.Sprint(o), ok
	}
}

// Each line of a script that sets an answer names its codes in a comment, by the names that outcome.go has.
func TestEachCodeOfAScriptIsNamed(t *testing.T) {
	names := map[string]string{"0": "absent", "1": "waiting", "2": "claimed", "3": "elsewhere", "4": "beyond", "5": "dead", "6": "orphan", "7": "present", "8": "again"}
	sets, code := regexp.MustCompile(`answers?(\[i\])? = (.*)$`), regexp.MustCompile(`\b\d\b`)
	files, err := filepath.Glob("lua/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			m := sets.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil || strings.HasPrefix(line, "--") {
				continue
			}
			value, comment, _ := strings.Cut(m[2], " -- ")
			value, _, _ = strings.Cut(value, ";")
			for _, c := range code.FindAllString(value, -1) {
				if n++; !strings.Contains(comment, names[c]) {
					t.Errorf("%s: code %s stands for %q, which no comment of this line says: %s", f, c, names[c], strings.TrimSpace(line))
				}
			}
		}
	}
	if n < 15 {
		t.Errorf("%d codes in %d scripts were looked at, want 15 at least", n, len(files))
	}
}
