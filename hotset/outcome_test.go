package hotset

import (
	"fmt"
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

// No script sets an answer to a bare number: the prelude has a name for each code (TestThePreludeHasTheConstantsOfGo).
func TestEachCodeOfAScriptIsNamed(t *testing.T) {
	sets, bare := regexp.MustCompile(`\banswers?(?:\[i\])? = (.*)$`), regexp.MustCompile(`(?:^|and |or )\d`)
	n := 0
	for verb, text := range readLua(t) {
		for line := range strings.Lines(text) {
			m := sets.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil || strings.HasPrefix(line, "--") {
				continue
			}
			if n++; bare.MatchString(m[1]) {
				t.Errorf("%s.lua has a code without a name: %s", verb, strings.TrimSpace(line))
			}
		}
	}
	if n < 15 {
		t.Errorf("%d codes were looked at, want 15 at least", n)
	}
}
