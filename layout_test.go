package triggerhook_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/triggerhook/triggerhook"

// Imports run one way: root -> internal/agent -> internal/preload -> internal/horizon ->
// internal/record -> durable, hotset -> task. The decorators of hotset.Set do not know one
// another, except the removals, which know the error of the fence that they give up after.
func TestImportsRunOneWay(t *testing.T) {
	allowed := map[string][]string{
		"": {"consumer", "durable", "hook", "hotset", "task", "internal/agent", "internal/breaker", "internal/failpoint", "internal/fence", "internal/hooks", "internal/horizon", "internal/manual",
			"internal/preload", "internal/record", "internal/removal", "internal/report", "internal/retry", "internal/verdict", "internal/wait",
			"retrypolicy"},
		"task":                {},
		"consumer":            {"hook", "task", "internal/coalesce", "internal/failpoint", "internal/hooks", "internal/report", "internal/verdict", "internal/wait", "retrypolicy"},
		"hook":                {},
		"internal/hooks":      {"internal/report"},
		"durable":             {"task", "internal/coalesce", "internal/failpoint"},
		"durable/bolt":        {"durable", "task", "internal/coalesce"},
		"durable/durabletest": {"durable", "task"},
		"hotset":              {"task", "internal/stack"},
		"hotset/local":        {"hotset", "task", "internal/inspect"},
		"hotset/hotsettest":   {"hotset", "task"},
		"internal/agent": {"durable", "hook", "hotset", "task", "internal/failpoint", "internal/hooks", "internal/horizon", "internal/preload", "internal/record",
			"internal/report", "internal/wait"},
		"internal/breaker":   {"hotset", "task", "internal/report", "internal/wait"},
		"internal/coalesce":  {"internal/stack"},
		"internal/failpoint": {},
		"internal/fence":     {"hotset", "task", "internal/record", "internal/wait"},
		"internal/horizon":   {"durable", "task", "internal/failpoint", "internal/record", "internal/report", "internal/wait"},
		"internal/inspect":   {"task"},
		"internal/preload": {"durable", "hook", "hotset", "task", "internal/coalesce", "internal/failpoint", "internal/hooks", "internal/horizon", "internal/record", "internal/report",
			"internal/retry", "internal/wait"},
		"internal/record":    {"durable", "hotset", "task", "internal/failpoint", "internal/report", "internal/wait"},
		"internal/removal":   {"hotset", "task", "internal/coalesce", "internal/fence", "internal/report", "internal/retry"},
		"internal/report":    {"task"},
		"internal/retry":     {"internal/wait"},
		"internal/stack":     {},
		"internal/verdict":   {"task"},
		"internal/wait":      {},
		"metrics":            {"", "consumer"},
		"metrics/throughput": {"", "consumer"},
		"middleware":         {""},
		"retrypolicy":        {"task"},
		"seal":               {"", "typed"},
		"triggerhooktest":    {"", "durable/bolt", "hook", "hotset/local", "internal/manual", "task"},
		"internal/manual":    {"consumer"},
		"typed":              {""},
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

// No type embeds the Scheduler, the Consumer, or a hotset.Set: an agent names what it uses, and
// a decorator of the hot set names each call that it passes on.
func TestNothingEmbedsWhatItUses(t *testing.T) {
	never := regexp.MustCompile(`^\*?(Scheduler|Consumer|(hotset\.)?Set|(\w+\.)?(Scheduler|Consumer))$`)
	seen := 0
	for _, folder := range []string{".", "consumer", "internal/*"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, line := range embeddedFields(t, path) {
				seen++
				if never.MatchString(line) {
					t.Errorf("%s: a struct embeds %s", path, line)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no embedded field was found, so nothing was looked at")
	}
}

// embeddedFields returns the types of all embedded struct fields of a file.
func embeddedFields(t *testing.T, path string) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if f.Name.Name == "main" { // a program for tests, which may trace or break a Set
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, is := n.(*ast.StructType); is {
			for _, field := range s.Fields.List {
				if len(field.Names) == 0 {
					all = append(all, types.ExprString(field.Type))
				}
			}
		}
		return true
	})
	return all
}
