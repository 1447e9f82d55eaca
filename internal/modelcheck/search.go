package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

const (
	// depth and memory of a search are ample; one that meets them fails.
	depth    = 1_000_000
	memoryMB = 6_000
)

// models is where they are, from the root of the tree.
const models = "docs/model"

// check is one search of one model.
type check struct {
	name    string
	model   string
	defines string // as -D takes them, with spaces between
	fails   bool   // a rule is weakened: an assertion must be violated
	ci      bool   // small enough for each run of CI
}

// String is the check's name, model and defines, in columns.
func (c check) String() string { return fmt.Sprintf("%-24s %s.pml %s", c.name, c.model, c.defines) }

// outcome is what a check came to.
type outcome struct {
	states   int
	violated bool
	took     time.Duration
	err      error // why it is not as it should be
}

func (o outcome) verdict() string {
	if o.err != nil {
		return "FAIL"
	}
	return "ok"
}

func (o outcome) found() string {
	if o.violated {
		return "violated"
	}
	return "holds"
}

// tools are the programs that a search needs.
type tools struct {
	spin func(args ...string) *exec.Cmd
}

// bring finds spin and gcc.
func bring(ctx context.Context) (tools, error) {
	if _, err := exec.LookPath("gcc"); err != nil {
		return tools{}, errors.New("gcc is needed to build what spin generates, and is not on the path")
	}
	if path, err := exec.LookPath("spin"); err == nil {
		return tools{func(args ...string) *exec.Cmd { return exec.CommandContext(ctx, path, args...) }}, nil
	}
	spin, err := testserver.Program(ctx, "spin", "usr/bin/spin")
	return tools{spin}, err
}

// check searches a model and judges what came of it.
func (t tools) check(ctx context.Context, c check) (o outcome) {
	start := time.Now()
	out, err := t.search(ctx, c)
	if err == nil {
		o, err = parse(out)
	}
	o.took = time.Since(start)
	switch {
	case err != nil:
		o.err = err
	case c.fails && !o.violated:
		o.err = errors.New("a rule is weakened, but nothing failed")
	case !c.fails && o.violated:
		o.err = fmt.Errorf("an assertion is violated:\n%s", out)
	}
	return o
}

// search builds the verifier of a model in a folder of its own and runs it.
func (t tools) search(ctx context.Context, c check) (string, error) {
	dir, err := os.MkdirTemp("", "modelcheck-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	model, err := filepath.Abs(filepath.Join(models, c.model+".pml"))
	if err != nil {
		return "", err
	}
	var args []string
	for _, d := range strings.Fields(c.defines) {
		args = append(args, "-D"+d)
	}
	spin := t.spin(append(args, "-a", model)...)
	spin.Dir = dir
	if out, err := spin.CombinedOutput(); err != nil || strings.Contains(string(out), "rror:") {
		return "", errors.Join(fmt.Errorf("spin does not take the model: %s", out), err)
	}
	level := "-O2"
	if c.ci {
		level = "-O0" // it takes longer to build than to search
	}
	gcc := exec.CommandContext(ctx, "gcc", level, "-w", "-DSAFETY", "-DNOFAIR", "-DCOLLAPSE", fmt.Sprintf("-DMEMLIM=%d", memoryMB), "-o", "pan", "pan.c")
	gcc.Dir = dir
	if out, err := gcc.CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc does not take what spin made: %w: %s", err, out)
	}
	pan := exec.CommandContext(ctx, "./pan", "-E", fmt.Sprintf("-m%d", depth), "-w22")
	pan.Dir = dir
	out, err := pan.CombinedOutput()
	return string(out), err
}

var (
	stored   = regexp.MustCompile(`(?m)^\s*([0-9.e+]+) states, stored`)
	mistakes = regexp.MustCompile(`errors: (\d+)`)
)

// incomplete is what pan says if it did not search all. (A search that is cut off
// by an error says so too, which is looked at first.)
var incomplete = []string{"max search depth too small", "out of memory", "memory limit", "reached -DMEMLIM", "hash table is full", "resource limit"}

// parse reads what pan wrote: how many states it searched, and whether an assertion
// was violated. An error of another kind, or a search that is not complete, is an
// error.
func parse(out string) (outcome, error) {
	m := mistakes.FindStringSubmatch(out)
	if m == nil {
		return outcome{}, fmt.Errorf("the search did not come to an end:\n%s", out)
	}
	var o outcome
	if s := stored.FindStringSubmatch(out); s != nil {
		n, err := strconv.ParseFloat(s[1], 64)
		if err != nil {
			return outcome{}, fmt.Errorf("read how many states were searched: %w", err)
		}
		o.states = int(n)
	}
	for _, sign := range incomplete {
		if strings.Contains(out, sign) {
			return o, fmt.Errorf("the search is not complete: %s", sign)
		}
	}
	if m[1] == "0" {
		if strings.Contains(out, "Search not completed") || !strings.Contains(out, "Full statespace search for:") || o.states == 0 {
			return o, fmt.Errorf("the search is not a complete one:\n%s", out)
		}
		return o, nil
	}
	if o.violated = strings.Contains(out, "assertion violated"); !o.violated {
		return o, fmt.Errorf("an error that is no violated assertion:\n%s", out)
	}
	return o, nil
}
