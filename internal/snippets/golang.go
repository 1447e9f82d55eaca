package snippets

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const library = "github.com/triggerhook/triggerhook"

// imports are the packages that fragments use, by their names.
var imports = map[string]string{
	"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log", "os": "os", "slog": "log/slog", "sql": "database/sql", "time": "time",
	"tls": "crypto/tls", "x509": "crypto/x509",
	"mysql": "github.com/go-sql-driver/mysql", "redis": "github.com/redis/go-redis/v9", "prometheus": "github.com/prometheus/client_golang/prometheus",
	"promhttp":    "github.com/prometheus/client_golang/prometheus/promhttp",
	"triggerhook": library, "durable": library + "/durable", "bolt": library + "/durable/bolt", "hotset": library + "/hotset", "local": library + "/hotset/local",
	"metrics": library + "/metrics", "middleware": library + "/middleware", "retrypolicy": library + "/retrypolicy", "typed": library + "/typed", "seal": library + "/seal",
	"dashboard": library + "/dashboard", "otel": library + "/otel",
}

// modules are the folders of the modules that are not the root, by the import paths that lead there.
var modules = map[string]string{library + "/dashboard": "dashboard", library + "/otel": "otel"}

// compile builds blocks of Go, in the modules that they need, and returns what is wrong with them.
func compile(root, dir string, all []block) (problems []string, err error) {
	overlay, packages := map[string]string{}, map[string][]string{}
	for i, b := range all {
		code, err := source(b)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		module := moduleOf(code)
		name := fmt.Sprintf("snippet%d", i)
		virtual := filepath.Join(root, module, "internal", name, "snippet.go")
		overlay[virtual] = filepath.Join(dir, name+".go")
		packages[module] = append(packages[module], "./internal/"+name)
		if err := os.WriteFile(overlay[virtual], []byte(code), 0o600); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	for _, module := range slices.Sorted(maps.Keys(packages)) {
		build := exec.Command("go", append([]string{"build", "-o", os.DevNull, "-overlay", file}, packages[module]...)...)
		build.Dir = filepath.Join(root, module)
		if out, err := build.CombinedOutput(); err != nil {
			problems = append(problems, fmt.Sprintf("%v\n%s", err, out))
		}
	}
	return problems, nil
}

// moduleOf is the folder of the module that code needs.
func moduleOf(code string) string {
	for path, folder := range modules {
		if strings.Contains(code, `"`+path+`"`) {
			return folder
		}
	}
	return "."
}

// source is the file in which a block is compiled: itself, or the function of its mark with its text as the body. Errors name the line of the page.
func source(b block) (string, error) {
	if pretty, err := format.Source([]byte(b.text)); err != nil || string(pretty) != b.text {
		return "", fmt.Errorf("%s is not gofmt-clean: %v", b, err)
	}
	at := fmt.Sprintf("//line %s:%d\n", b.page, b.line)
	if strings.HasPrefix(b.mark, "func(") {
		return fragment(b, at)
	}
	if b.mark != "" || !strings.HasPrefix(b.text, "package ") {
		return "", fmt.Errorf("%s is no whole program, and no comment above it says what it is a part of", b)
	}
	return at + b.text, nil
}

// fragment is a function with the text as its body.
func fragment(b block, at string) (string, error) {
	const head = "package snippet\n"
	text := head + strings.Replace(b.mark, "func(", "func _(", 1) + " {\n" + at + b.text + "}\n"
	f, err := parser.ParseFile(token.NewFileSet(), b.page, text, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", b, err)
	}
	of, is := f.Decls[0].(*ast.FuncDecl)
	if !is || len(f.Decls) != 1 {
		return "", fmt.Errorf("%s: the comment above is no function: %s", b, b.mark)
	}
	if of.Type.Results != nil {
		text = strings.TrimSuffix(text, "}\n") + "panic(0)\n}\n"
	}
	names := ""
	for _, name := range unresolved(f) {
		if path, known := imports[name]; known {
			names += fmt.Sprintf("import %s %q\n", name, path)
		}
	}
	return head + names + strings.TrimPrefix(used(text, of), head), nil
}

// unresolved are the names that a file uses and does not declare, in order.
func unresolved(f *ast.File) []string {
	set := map[string]bool{}
	for _, id := range f.Unresolved { // it tells a package from a variable, without the packages' types
		set[id.Name] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// used adds to each variable that the function itself declares a use, on the same line. The function is the first of its file.
func used(text string, of *ast.FuncDecl) string {
	for _, s := range slices.Backward(of.Body.List) {
		define, is := s.(*ast.AssignStmt)
		if !is || define.Tok != token.DEFINE {
			continue
		}
		uses := ""
		for _, to := range define.Lhs {
			if id, is := to.(*ast.Ident); is && id.Name != "_" {
				uses += "; _ = " + id.Name
			}
		}
		at := int(define.End()) - 1 // positions of the first file of a set begin with 1
		text = text[:at] + uses + text[at:]
	}
	return text
}
