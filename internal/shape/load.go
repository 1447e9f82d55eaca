package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// module is the parsed source of one module. The folders of other modules inside of it (bench)
// are measured like its own, but are no packages of its users.
type module struct {
	fset *token.FileSet
	all  []*source
	pkgs map[string]*pkg // by folder, "" is the root

	scripts map[string]string // the texts of files in Lua and SQL, and of pages, by path
}

// source is one file.
type source struct {
	path  string // from the module's folder, with slashes
	lines int
	file  *ast.File
	test  bool // its name ends with _test.go
}

// pkg is one folder of sources.
type pkg struct {
	dir   string
	name  string
	files []*source // those that are not tests
	tests []*source
}

// program reports whether p is a command.
func (p *pkg) program() bool { return p.name == "main" }

// public reports whether users may import p.
func (p *pkg) public() bool {
	return !p.program() && !strings.HasPrefix(p.dir, "internal/") && !strings.Contains(p.dir, "/internal/")
}

// label is how p is called in the report.
func (p *pkg) label() string {
	if p.dir == "" {
		return "the root"
	}
	return p.dir
}

// load parses all Go files below dir, and reads all files in Lua and SQL and all pages, except those of testdata and of hidden folders.
func load(dir string) (*module, error) {
	m := &module{fset: token.NewFileSet(), pkgs: map[string]*pkg{}, scripts: map[string]string{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if skip(d) && path != dir {
			return filepath.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		switch filepath.Ext(path) {
		case ".go":
			return m.add(dir, path)
		case ".lua", ".sql", ".md":
			return m.addScript(dir, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	if len(m.all) == 0 {
		return nil, fmt.Errorf("read %s: no Go file is there", dir)
	}
	return m, nil
}

func skip(d fs.DirEntry) bool {
	return d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), "."))
}

// addScript reads one file in Lua or SQL, or one page.
func (m *module) addScript(dir, path string) error {
	rel, text, err := read(dir, path)
	m.scripts[rel] = string(text)
	return err
}

// read returns a file's path from dir, with slashes, and its text.
func read(dir, path string) (rel string, text []byte, err error) {
	if text, err = os.ReadFile(path); err != nil {
		return "", nil, err
	}
	rel, err = filepath.Rel(dir, path)
	return filepath.ToSlash(rel), text, err
}

// add parses one file and puts it into its package.
func (m *module) add(dir, path string) error {
	rel, text, err := read(dir, path)
	if err != nil {
		return err
	}
	mode, test := parser.ParseComments, strings.HasSuffix(rel, "_test.go")
	if !test {
		mode |= parser.SkipObjectResolution // doc.Examples needs it to make programs
	}
	file, err := parser.ParseFile(m.fset, rel, text, mode)
	if err != nil {
		return err
	}
	s := &source{path: rel, file: file, test: test, lines: strings.Count(string(text), "\n")}
	m.all = append(m.all, s)
	folder := strings.TrimSuffix(rel[:len(rel)-len(filepath.Base(rel))], "/")
	p := m.pkgs[folder]
	if p == nil {
		p = &pkg{dir: folder}
		m.pkgs[folder] = p
	}
	if s.test {
		p.tests = append(p.tests, s)
		return nil
	}
	p.name = file.Name.Name
	p.files = append(p.files, s)
	return nil
}

// place is where a node stands.
func (m *module) place(n ast.Node) string {
	at := m.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", at.Filename, at.Line)
}
