package triggerhook_test

import (
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/triggerhook/triggerhook"

// Imports run one way: root -> consumer, durable, hotset -> task.
func TestImportsRunOneWay(t *testing.T) {
	allowed := map[string][]string{
		"":                    {"consumer", "durable", "hotset", "task", "internal/breaker", "internal/coalesce", "internal/failpoint", "internal/report", "internal/wait"},
		"task":                {},
		"consumer":            {"task", "internal/coalesce", "internal/failpoint", "internal/report"},
		"durable":             {"task", "internal/coalesce"},
		"durable/bolt":        {"durable", "task", "internal/coalesce"},
		"durable/durabletest": {"durable", "task"},
		"hotset":              {"task"},
		"hotset/local":        {"hotset", "task"},
		"hotset/hotsettest":   {"hotset", "task"},
		"internal/coalesce":   {},
		"internal/failpoint":  {},
		"internal/report":     {"task"},
		"internal/wait":       {},
		"metrics":             {"", "consumer"},
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		may, listed := allowed[name]
		if !listed {
			if !strings.HasPrefix(name, "internal/") && !strings.HasPrefix(name, "examples/") {
				t.Errorf("package %q is in no rule", name)
			}
			continue
		}
		for _, imp := range p.Imports {
			own, is := strings.CutPrefix(imp, module)
			if is && !slices.Contains(may, strings.TrimPrefix(own, "/")) {
				t.Errorf("%q imports %q", name, imp)
			}
		}
	}
}

// The README's program is at most 50 lines, formatted, and compiles.
func TestTheReadmesProgramCompiles(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```go\npackage main")
	code, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no program")
	}
	code = "package main" + code
	if n := strings.Count(code, "\n"); n > 50 {
		t.Errorf("it has %d lines", n)
	}
	if pretty, err := format.Source([]byte(code)); err != nil || string(pretty) != code {
		t.Errorf("it is not gofmt-clean: %v", err)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("it does not compile: %v\n%s", err, out)
	}
}
