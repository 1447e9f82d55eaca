package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// calls calls f for each call of a function of that name in a file, with the first
// string that it is given and the function that it stands in.
func calls(t *testing.T, file, name string, f func(in, arg string)) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range tree.Decls {
		fn, is := decl.(*ast.FuncDecl)
		if !is {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is || callee(call) != name {
				return true
			}
			for _, a := range call.Args {
				if arg := text(a); arg != "" {
					f(fn.Name.Name, arg)
					break
				}
			}
			return true
		})
	}
}

func callee(call *ast.CallExpr) string {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		if in, is := fn.X.(*ast.Ident); is {
			return in.Name + "." + fn.Sel.Name
		}
	}
	return ""
}

// text is what a constant string says, also one that is put together.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	}
	return ""
}

// pointsInCode are the points that the library's code names.
func pointsInCode(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			calls(t, path, "failpoint.Hit", func(_, point string) { all = append(all, point) })
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("the code names %d points, %v", len(all), err)
	}
	return all
}

// cellsOf are this package's tests of cells, and where they kill.
func cellsOf(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		calls(t, f, "killedAt", func(in, point string) { all[in] = point })
	}
	return all
}

// redBy are the mutants that have tests of this package turn red: name, tests.
func redBy(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../mutants/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files of mutants, %v", len(files), err)
	}
	all := map[string][]string{}
	for _, f := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if lit, is := n.(*ast.CompositeLit); is && len(lit.Elts) == 7 {
				all[text(lit.Elts[0])] = strings.Split(text(lit.Elts[6]), "|")
			}
			return true
		})
	}
	return all
}

// table is what docs/crashes.md says: the cells of its rows, by their first words.
func table(t *testing.T) (steps, cells [][]string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/crashes.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch {
		case len(row) == 4 && strings.Contains(row[2], "`"):
			steps = append(steps, row)
		case len(row) == 5 && strings.Contains(row[0], "`"):
			cells = append(cells, row)
		}
	}
	return steps, cells
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names are the quoted words of a cell of the page.
func names(cell string) (all []string) {
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// Each point in the code is before or after a step of the table and has a cell;
// each cell has its test, and a mutant that turns it red.
func TestTheTableIsWhole(t *testing.T) {
	points, tests, mutants := pointsInCode(t), cellsOf(t), redBy(t)
	steps, cells := table(t)
	missing := map[string]string{}
	for _, p := range points {
		if missing[p] != "" {
			t.Errorf("two places in the code are called %s", p)
		}
		missing[p] = "no step and no cell"
	}
	for _, row := range steps {
		for _, p := range slices.Concat(names(row[2]), names(row[3])) {
			if missing[p] == "" {
				t.Errorf("a step names %s, which the code does not", p)
			}
			missing[p] = "no cell"
		}
	}
	for _, row := range cells {
		at, test := strings.Join(names(row[0]), ""), strings.Join(names(row[3]), "")
		point, _, _ := strings.Cut(at, ":")
		if tests[test] != at {
			t.Errorf("the cell %s names %s, which kills at %q", at, test, tests[test])
		}
		if missing[point] != "no cell" && missing[point] != "nothing" {
			t.Errorf("the cell %s has %s in the code and the steps", at, missing[point])
		}
		missing[point] = "nothing"
		delete(tests, test)
		red := names(row[4])
		for _, m := range red {
			if !slices.Contains(mutants[m], test) {
				t.Errorf("the cell %s names mutant %s, which is to turn %q red", at, m, mutants[m])
			}
		}
		if len(red) == 0 {
			t.Errorf("no mutant turns the cell %s red", at)
		}
	}
	for p, what := range missing {
		if what != "nothing" {
			t.Errorf("point %s has %s", p, what)
		}
	}
	for test, at := range tests {
		t.Errorf("%s kills at %s, and no cell names it", test, at)
	}
}
