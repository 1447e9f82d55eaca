// Command mutants breaks the code on purpose, one step at a time, and sees a named
// test turn red: a test that no mutant can fail is not yet a test.
//
//	go run ./internal/mutants [--only NAME,NAME] [--list] [--torture]
//
// It works on a copy of the tree. The exit status is 1 if a mutant survived, or no
// longer fits the code. With --torture the mutants are those that a torture run of
// a minute has to find, without being told what to look for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	only := flag.String("only", "", "names, with commas; all if empty")
	list := flag.Bool("list", false, "print the names")
	torture := flag.Bool("torture", false, "run internal/torture on each, not its test")
	flag.Parse()
	if *list {
		for _, m := range all() {
			fmt.Printf("%-28s %s\n", m.name, m.what)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	names, kill := strings.Split(*only, ","), mutant.kill
	if *only == "" {
		names = nil
	}
	if *torture {
		kill = mutant.torture
		if names == nil {
			names = tortured
		}
	}
	if err := run(ctx, names, kill); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run kills the mutants of those names, all if there are none.
func run(ctx context.Context, only []string, kill func(mutant, context.Context, string) (string, error)) error {
	tree, err := copyTree(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	ran := 0
	var errs []error
	for _, m := range all() {
		if only != nil && !slices.Contains(only, m.name) {
			continue
		}
		ran++
		start := time.Now()
		how, err := m.alive(ctx, tree, kill)
		if err != nil {
			errs = append(errs, err)
			fmt.Printf("FAIL %s: %v\n", m.name, err)
			continue
		}
		fmt.Printf("ok   %-28s %s in %s\n", m.name, how, time.Since(start).Round(time.Second))
	}
	if ran == 0 {
		return fmt.Errorf("no mutant is called any of %q", only)
	}
	return errors.Join(errs...)
}

// copyTree copies the files that git knows, or would know, into a new folder.
func copyTree(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("find the tree: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", `cd "$1" && git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$2"`,
		"copy", strings.TrimSpace(string(root)), dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("copy the tree: %w: %s", err, out), os.RemoveAll(dir))
	}
	return dir, nil
}

// all are the mutants of all files.
func all() []mutant {
	return slices.Concat(
		mutants,
		crashes,
		userCode,
		edgesC,
		edgesB,
		edgesF,
		edgesD,
		edgesK,
		edgesE,
		edgesG,
		edgesI,
		edgesL,
		failovers,
		failoversRedis,
		failoversGroup,
		houseLayout,
		houseFace,
		breadth,
		breadthRetries,
		breadthConfirmTx,
		breadthNewcomer,
		speedHotPath,
		breadthTyped,
		breadthDead,
		breadthHistory,
		hookMutants,
		pauseMutants,
		breadthForecast,
		breadthFind,
		breadthTx,
		breadthDeadline,
		breadthMoveMany,
		breadthTorture,
		houseSchema,
		houseNames,
		houseDesign,
		houseVerbs,
		manualClock,
		houseTranscripts,
	)
}

// mutant is one change that must turn one test red, or each of some.
type mutant struct {
	name     string
	what     string // is broken
	file     string
	old, new string // old stands in file once
	pkg      string
	test     string // what go test -run takes; each of several, parted by |, must fail
}

// alive applies m, has it killed, and restores the file.
func (m mutant) alive(ctx context.Context, tree string, kill func(mutant, context.Context, string) (string, error)) (how string, err error) {
	path := filepath.Join(tree, m.file)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("it no longer fits: %q stands %d times in %s", m.old, n, m.file)
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, text, 0o600)) }()
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	if out, err := command(ctx, tree, "vet", m.pkg); err != nil {
		return "", fmt.Errorf("it does not compile: %s", out)
	}
	return kill(m, ctx, tree)
}

// kill runs m's test.
func (m mutant) kill(ctx context.Context, tree string) (string, error) {
	out, err := command(ctx, tree, "test", "-count=1", "-timeout=150s", "-run", m.test, m.pkg)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil && strings.Contains(out, "no tests to run"):
		return "", fmt.Errorf("there is no test %s in %s", m.test, m.pkg)
	case err == nil:
		return "", fmt.Errorf("it survived %s", m.test)
	case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic: test timed out"):
		return "", fmt.Errorf("%s did not run: %s", m.test, out)
	}
	tests := strings.Split(m.test, "|")
	if len(tests) == 1 {
		return "turned " + m.test + " red", nil
	}
	for _, t := range tests {
		if !strings.Contains(out, "--- FAIL: "+t+" ") {
			return "", fmt.Errorf("it survived %s", t)
		}
	}
	return fmt.Sprintf("turned %d tests red", len(tests)), nil
}

// torture runs the torture program for a minute.
func (m mutant) torture(ctx context.Context, tree string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "run", "./internal/torture", "--seed", tortureSeed, "--duration", "60s", "--json")
	cmd.Dir = tree
	out, err := cmd.Output()
	var v struct {
		Kept   bool           `json:"kept"`
		Broken map[string]int `json:"broken"`
		First  float64        `json:"first_broken_s"`
	}
	switch bad := json.Unmarshal(out, &v); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case bad != nil:
		return "", fmt.Errorf("torture did not judge it: %w", errors.Join(bad, err))
	case v.Kept:
		return "", errors.New("it survived a minute of torture")
	}
	return fmt.Sprintf("broke %v, first after %.1f s,", v.Broken, v.First), nil
}

func command(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
