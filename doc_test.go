package triggerhook_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
)

// comment returns the doc comment of a file's package, or of a type that it declares.
func comment(t *testing.T, file, typ string) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if typ == "" {
		return f.Doc.Text()
	}
	for _, d := range f.Decls {
		if g, is := d.(*ast.GenDecl); is && g.Tok == token.TYPE && g.Specs[0].(*ast.TypeSpec).Name.Name == typ {
			return g.Doc.Text()
		}
	}
	t.Fatalf("%s does not declare %s", file, typ)
	return ""
}

var (
	sentinel = regexp.MustCompile(`(?m)^\t(Err\w+) +=`)
	tableRow = regexp.MustCompile(`(?m)^\t(Err\w+) +\S`)
)

// The package page's table has each sentinel, and no other.
func TestTheTableOfErrorsHasEachSentinel(t *testing.T) {
	text, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(comment(t, "doc.go", ""), "\terror           when\n")
	if !found {
		t.Fatal("doc.go has no table of errors")
	}
	var declared, told []string
	for _, m := range sentinel.FindAllStringSubmatch(string(text), -1) {
		declared = append(declared, m[1])
	}
	for _, m := range tableRow.FindAllStringSubmatch(table, -1) {
		told = append(told, m[1])
	}
	if len(declared) < 18 || !slices.Equal(declared, told) {
		t.Errorf("errors.go declares %v, doc.go's table has %v; want the same, in the same order", declared, told)
	}
}

// The package page has the README's program, which internal/snippets compiles, and which is short.
func TestThePackagePageHasTheReadmesProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\npackage main")
	code, _, _ := strings.Cut("package main"+rest, "```")
	var want strings.Builder
	for line := range strings.Lines(code) {
		if line != "\n" {
			line = "\t" + line
		}
		want.WriteString(line)
	}
	if n := strings.Count(code, "\n"); n < 20 || n > 50 {
		t.Errorf("the README's program has %d lines, want at most 50", n)
	}
	if !strings.Contains(comment(t, "doc.go", ""), want.String()) {
		t.Errorf("doc.go does not have the README's program:\n%s", want.String())
	}
}

// go doc shows an alias by its comment alone, so this has each field and method of the type.
func TestTheCommentsOfAliasesShowFieldsAndMethods(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[*triggerhook.Task](), reflect.TypeFor[*triggerhook.Delivery]()} {
		name := of.Elem().Name()
		text := comment(t, "types.go", name)
		for _, f := range reflect.VisibleFields(of.Elem()) {
			if len(f.Index) == 1 && f.IsExported() && !strings.Contains(text, "\n\t\t"+f.Name) {
				t.Errorf("the comment of %s does not show the field %s", name, f.Name)
			}
		}
		for i := range of.NumMethod() {
			if m := of.Method(i).Name; !strings.Contains(text, "\n\tfunc (d *"+name+") "+m+"(") || !strings.Contains(text, "\n"+m+" ") {
				t.Errorf("the comment of %s does not show the method %s, or say what it promises", name, m)
			}
		}
	}
}

// The root's page shows the fields of a struct that it only names, or embeds, in a comment.
func TestTheCommentsOfOtherPackagesStructsShowTheirFields(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		of   reflect.Type
	}{
		"IDError":      {comment(t, "errors.go", "IDError"), reflect.TypeFor[triggerhook.IDError]()},
		"ProcessStats": {comment(t, "stats.go", "ProcessStats"), reflect.TypeFor[consumer.Figures]()},
	} {
		for _, f := range reflect.VisibleFields(c.of) {
			if !regexp.MustCompile(`(?m)^\t.*\b` + f.Name + `\b`).MatchString(c.text) {
				t.Errorf("the comment of %s does not show the field %s", name, f.Name)
			}
		}
	}
}
