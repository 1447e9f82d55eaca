// Command vuln looks for known vulnerabilities in what the modules that are given
// (this one by default) depend on:
//
//	go run ./internal/vuln [--optional] [DIR ...]
//
// It is govulncheck, with a database made from the module golang.org/x/vulndb, so
// that all it needs is a Go module proxy; the database's own host is not asked.
// The exit status is 1 if code of a dependency that has a known vulnerability is
// called, or if nothing could be checked, unless that is optional. What the standard
// library has is printed only: which Go a program is built with is its builder's
// choice.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

// The checker is pinned, the database is the latest.
const (
	checker  = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
	database = "golang.org/x/vulndb@latest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	optional := flag.Bool("optional", false, "it is no error if database or checker cannot be had")
	flag.Parse()
	dirs := flag.Args()
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	err := run(ctx, dirs)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "vuln:", err)
	if !*optional || errors.Is(err, errVulnerable) {
		os.Exit(1)
	}
}

var errVulnerable = errors.New("vulnerable code is called")

func run(ctx context.Context, dirs []string) error {
	db, err := os.MkdirTemp("", "vuln-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(db)
	version, reports, err := fetch(ctx)
	if err != nil {
		return err
	}
	if err := index(reports, db); err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		found, err := check(ctx, db, dir)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d known vulnerabilities in modules that are called, %d in the standard library (%s)\n",
			dir, len(found.modules), len(found.standard), version)
		for _, f := range slices.Concat(found.modules, found.standard) {
			fmt.Println("  ", f)
		}
		if len(found.modules) > 0 {
			errs = append(errs, fmt.Errorf("%s: %w", dir, errVulnerable))
		}
	}
	return errors.Join(errs...)
}

// fetch returns the database's version and the folder of its reports.
func fetch(ctx context.Context) (version, reports string, err error) {
	out, err := command(ctx, ".", "mod", "download", "-json", database)
	if err != nil {
		return "", "", fmt.Errorf("download %s: %w", database, err)
	}
	var m struct{ Dir, Version string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", "", fmt.Errorf("download %s: %w", database, err)
	}
	return m.Version, m.Dir + "/data/osv", nil
}

// findings are vulnerabilities whose code is called.
type findings struct{ modules, standard []string }

// check runs the checker in dir.
func check(ctx context.Context, db, dir string) (findings, error) {
	out, err := command(ctx, dir, "run", checker, "-format", "json", "-db", "file://"+db, "./...")
	if err != nil {
		return findings{}, fmt.Errorf("check %s: %w", dir, err)
	}
	return read(bytes.NewReader(out))
}

// read picks the findings out of what the checker says: one object after another.
// A finding that ends in a function is one that is called.
func read(r io.Reader) (f findings, err error) {
	for dec := json.NewDecoder(r); ; {
		var m struct {
			Finding *struct {
				OSV   string `json:"osv"`
				Fixed string `json:"fixed_version"`
				Trace []struct{ Module, Version, Package, Function string }
			}
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return f, nil
		} else if err != nil {
			return f, fmt.Errorf("read findings: %w", err)
		}
		if m.Finding == nil || len(m.Finding.Trace) == 0 || m.Finding.Trace[0].Function == "" {
			continue
		}
		at := m.Finding.Trace[0]
		text := fmt.Sprintf("%s in %s %s, fixed in %s", m.Finding.OSV, at.Package, at.Version, m.Finding.Fixed)
		to := &f.modules
		if at.Module == "stdlib" {
			to = &f.standard
		}
		if !slices.Contains(*to, text) {
			*to = append(*to, text)
		}
	}
}

func command(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	return out, nil
}
