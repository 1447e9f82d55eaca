// Command testcount reads the stream of go test -json, shows what failed and how
// far it is, and ends with a line that counts: all tests, and those that ran on
// each server. A test ran on a server if an element of its name is the server's.
// Its exit status is 1 if a test or package failed, or was skipped.
//
// With arguments, which are a command like "go test -race -json", it runs that command once more for each package whose process the race
// detector itself has ended: "ThreadSanitizer: CHECK failed" is a fault of Go 1.26 with testing/synctest (golang/go#78156), and says nothing
// about the tests. All tests of the package must pass then. With --packages N it is a failure if fewer packages come to an end: then the command
// whose stream this is has not run them.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
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
	again                   []string        // packages that are to run once more
	ran                     map[string]bool // those that have
}

// detectorFailed is what the race detector says when it fails itself.
const detectorFailed = "ThreadSanitizer: CHECK failed"

func newTally() *tally {
	return &tally{servers: map[string]int{}, output: map[string][]string{}, parents: map[string]bool{}, ran: map[string]bool{}}
}

func main() {
	t := newTally()
	packages := flag.Int("packages", 0, "how many packages there are")
	flag.Parse()
	err := t.read(os.Stdin, os.Stdout)
	if again := flag.Args(); len(again) > 0 {
		err = errors.Join(err, t.repeat(os.Stdout, func(pkg string) ([]byte, error) {
			cmd := exec.Command(again[0], append(again[1:], pkg)...)
			cmd.Stderr = os.Stderr
			return cmd.Output()
		}))
	}
	if err = errors.Join(err, t.whole(*packages)); err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
	t.count()
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
	return lines.Err()
}

// whole is an error if fewer packages than that have come to an end.
func (t *tally) whole(packages int) error {
	ended := map[string]bool{}
	for _, e := range t.done {
		if e.Test == "" {
			ended[e.Package] = true
		}
	}
	if len(ended) < packages {
		return fmt.Errorf("%d packages came to an end, want %d", len(ended), packages)
	}
	return nil
}

// repeat runs the packages again whose process the race detector has ended, and forgets what they had said before.
func (t *tally) repeat(out io.Writer, run func(pkg string) (stream []byte, err error)) error {
	for _, pkg := range t.again {
		fmt.Fprintf(out, "again %s, because the race detector itself failed\n", pkg)
		t.ran[pkg] = true
		t.done = slices.DeleteFunc(t.done, func(e event) bool { return e.Package == pkg })
		stream, err := run(pkg)
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			return err
		}
		if err := t.read(bytes.NewReader(stream), out); err != nil {
			return err
		}
		if !slices.ContainsFunc(t.done, func(e event) bool { return e.Package == pkg && e.Test == "" }) {
			t.done = append(t.done, event{Action: "fail", Package: pkg}) // it did not even build
		}
	}
	return nil
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
		if !strings.HasPrefix(key, pkg+" ") {
			continue
		}
		text := strings.Join(t.output[key], "")
		fmt.Fprintf(out, "UNFINISHED %s\n%s", key, text)
		delete(t.output, key)
		if strings.Contains(text, detectorFailed) && !t.ran[pkg] && !slices.Contains(t.again, pkg) {
			t.again = append(t.again, pkg)
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
