package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Export, Dir string
	GoFiles                 []string
	DepOnly                 bool
}

// source has the packages of this module, and type-checks them with one file changed.
type source struct {
	fset   *token.FileSet
	of     types.Importer
	byDir  map[string]pkg
	parsed map[string]*ast.File
}

func load(t *testing.T) *source {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles,DepOnly", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list the packages: %v", err)
	}
	s := &source{fset: token.NewFileSet(), byDir: map[string]pkg{}, parsed: map[string]*ast.File{}}
	exports := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			s.byDir[p.Dir] = p
		}
	}
	s.of = importer.ForCompiler(s.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return s
}

// check type-checks the package of a file that has another text. A file that is not
// built without tags is only parsed.
func (s *source) check(path, text string) error {
	changed, err := parser.ParseFile(s.fset, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := s.byDir[filepath.Dir(path)]
	if !slices.Contains(p.GoFiles, filepath.Base(path)) {
		return nil
	}
	files := []*ast.File{changed}
	for _, name := range p.GoFiles {
		if name == filepath.Base(path) {
			continue
		}
		other := filepath.Join(p.Dir, name)
		if s.parsed[other] == nil {
			if s.parsed[other], err = parser.ParseFile(s.fset, other, nil, parser.SkipObjectResolution); err != nil {
				return err
			}
		}
		files = append(files, s.parsed[other])
	}
	_, err = (&types.Config{Importer: s.of}).Check(p.ImportPath, s.fset, files, nil)
	return err
}

// Each mutant of Go code compiles, so that one that follows the code only halfway is not
// noticed as late as in its run.
func TestEachMutantCompiles(t *testing.T) {
	s := load(t)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all() {
		if filepath.Ext(m.file) != ".go" {
			continue
		}
		path := filepath.Join(root, m.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if err := s.check(path, strings.Replace(string(text), m.old, m.new, 1)); err != nil {
			t.Errorf("%s does not compile: %v", m.name, err)
		}
	}
}

// The package that a mutant names has each test that it names.
func TestEachMutantHasItsTest(t *testing.T) {
	for _, m := range all() {
		var text strings.Builder
		files, err := filepath.Glob(filepath.Join("..", "..", m.pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: %s has no tests: %v", m.name, m.pkg, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
		for _, name := range strings.Split(m.test, "|") {
			name, _, _ = strings.Cut(name, "/")
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^func (%s)\w*\(`, strings.TrimRight(name, "$)"))).MatchString(text.String()) {
				t.Errorf("%s: %s has no test %s", m.name, m.pkg, name)
			}
		}
	}
}
