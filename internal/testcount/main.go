// Command testcount reads the stream of go test -json, shows what failed and how
// far it is, and ends with a line that counts: all tests, and those that ran on
// each server. A test ran on a server if an element of its name is the server's.
// Its exit status is 1 if a test or package failed, or was skipped.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

type tally struct {
	passed, failed, skipped int
	servers                 map[string]int
	output                  map[string][]string // by package and test, until it passes
	parents                 map[string]bool     // tests with subtests: those count instead
	done                    []event
}

func main() {
	t := tally{servers: map[string]int{}, output: map[string][]string{}, parents: map[string]bool{}}
	if err := t.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
	fmt.Println(t.line())
	if t.failed > 0 || t.skipped > 0 || t.passed == 0 {
		os.Exit(1)
	}
}

func (t *tally) read(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // not of the stream: a build's error
			continue
		}
		t.add(e, out)
	}
	t.count()
	return lines.Err()
}

func (t *tally) add(e event, out io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "run":
		for i, c := range e.Test {
			if c == '/' {
				t.parents[e.Package+" "+e.Test[:i]] = true
			}
		}
	case "output", "build-output":
		t.output[key] = append(t.output[key], e.Output)
	case "build-fail":
		t.failed++
		fmt.Fprint(out, strings.Join(t.output[key], ""))
	case "pass", "fail", "skip":
		t.done = append(t.done, e)
		if e.Action != "pass" && (e.Test != "" || e.Action == "fail") {
			fmt.Fprintf(out, "%s %s\n%s", strings.ToUpper(e.Action), key, strings.Join(t.output[key], ""))
		} else if e.Test == "" {
			fmt.Fprintf(out, "%s %s %.0f s\n", e.Action, e.Package, e.Elapsed)
		}
		delete(t.output, key)
		if e.Test == "" && e.Action == "fail" {
			t.unfinished(e.Package, out)
		}
	}
}

// unfinished shows what the tests of a package said that were under way when its process ended: what ended it is in there.
func (t *tally) unfinished(pkg string, out io.Writer) {
	for _, key := range slices.Sorted(maps.Keys(t.output)) {
		if strings.HasPrefix(key, pkg+" ") {
			fmt.Fprintf(out, "UNFINISHED %s\n%s", key, strings.Join(t.output[key], ""))
			delete(t.output, key)
		}
	}
}

// count counts leaf tests, and packages that failed with no test failing.
func (t *tally) count() {
	for _, e := range t.done {
		switch {
		case e.Test == "" && e.Action == "fail" && t.failed == 0:
			t.failed++
		case e.Test == "" || t.parents[e.Package+" "+e.Test]:
		case e.Action == "pass":
			t.passed++
			t.credit(e.Test)
		case e.Action == "fail":
			t.failed++
		case e.Action == "skip":
			t.skipped++
		}
	}
}

func (t *tally) credit(test string) {
	for _, el := range strings.FieldsFunc(test, func(r rune) bool { return r == '/' || r == '+' }) {
		t.servers[el]++
	}
}

func (t *tally) line() string {
	names := []string{"bolt", "local", "miniredis"}
	for _, k := range testserver.Kinds() {
		names = append(names, string(k))
	}
	names = append(names, "sentinel", "cluster")
	var on []string
	for _, n := range names {
		if t.servers[n] > 0 {
			on = append(on, fmt.Sprintf("%s: %d", n, t.servers[n]))
		}
	}
	s := fmt.Sprintf("%d passed, %d failed", t.passed, t.failed)
	if t.skipped > 0 {
		s += fmt.Sprintf(", %d skipped", t.skipped)
	}
	return s + " (" + strings.Join(on, ", ") + ")"
}
