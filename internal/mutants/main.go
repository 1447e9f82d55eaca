// Command mutants breaks the code on purpose, one step at a time, and sees a named
// test turn red: a test that no mutant can fail is not yet a test.
//
//	go run ./internal/mutants [--only NAME,NAME] [--list]
//
// It works on a copy of the tree. The exit status is 1 if a mutant survived, or no
// longer fits the code.
package main

import (
	"context"
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
	flag.Parse()
	if *list {
		for _, m := range mutants {
			fmt.Printf("%-28s %s\n", m.name, m.what)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	tree, err := copyTree(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	ran := 0
	var errs []error
	for _, m := range mutants {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		ran++
		start := time.Now()
		if err := m.kill(ctx, tree); err != nil {
			errs = append(errs, err)
			fmt.Printf("FAIL %s: %v\n", m.name, err)
			continue
		}
		fmt.Printf("ok   %-28s turned %s red in %s\n", m.name, m.test, time.Since(start).Round(time.Second))
	}
	if ran == 0 {
		return fmt.Errorf("no mutant is called %q", only)
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

// mutant is one change that must turn one test red.
type mutant struct {
	name     string
	what     string // is broken
	file     string
	old, new string // old stands in file once
	pkg      string
	test     string // what go test -run takes
}

// kill applies m, runs its test, and restores the file.
func (m mutant) kill(ctx context.Context, tree string) (err error) {
	path := filepath.Join(tree, m.file)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return fmt.Errorf("it no longer fits: %q stands %d times in %s", m.old, n, m.file)
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, text, 0o600)) }()
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		return err
	}
	if out, err := command(ctx, tree, "vet", m.pkg); err != nil {
		return fmt.Errorf("it does not compile: %s", out)
	}
	out, err := command(ctx, tree, "test", "-count=1", "-timeout=60s", "-run", m.test, m.pkg)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && strings.Contains(out, "no tests to run"):
		return fmt.Errorf("there is no test %s in %s", m.test, m.pkg)
	case err == nil:
		return fmt.Errorf("it survived %s", m.test)
	case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic: test timed out"):
		return fmt.Errorf("%s did not run: %s", m.test, out)
	}
	return nil
}

func command(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}
