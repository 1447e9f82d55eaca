package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// measure writes files into a module of its own and returns what the program prints of it.
func measure(t *testing.T, files map[string]string) (broken int, text string) {
	t.Helper()
	dir := t.TempDir()
	for path, body := range files {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	broken, err := run(dir, &out)
	if err != nil {
		t.Fatal(err)
	}
	return broken, out.String()
}

// lines is a function of n lines.
func lines(name string, n int) string {
	return "func " + name + "() {\n" + strings.Repeat("\t_ = 1\n", n-2) + "}\n\n"
}

// short is many functions of 3 lines, which keep the median low.
func short(n int) (text string) {
	for i := range n {
		text += lines(fmt.Sprintf("short%d", i), 3)
	}
	return text
}

const tested = "package x_test\n\n// Output makes an Example run.\nfunc ExampleF() {\n\t// Output:\n}\n"

func TestEachRuleFailsWithPlaceNameAndRule(t *testing.T) {
	t.Parallel()
	var names strings.Builder
	for i := range 61 {
		fmt.Fprintf(&names, "// N%d is a constant.\nconst N%d = %d\n\n", i, i, i)
	}
	for what, c := range map[string]struct {
		files map[string]string
		want  string // "" if nothing breaks a rule
	}{
		"a function of 60 lines": {map[string]string{"x.go": "package x\n\n" + short(20) + lines("long", 60)}, ""},
		"a function of 61 lines": {map[string]string{"x.go": "package x\n\n" + lines("long", 61) + short(20)},
			"FAIL x.go:3: long-function: long has 61 lines, at most 60 are allowed"},
		"a long function of a test":  {map[string]string{"x.go": "package x\n", "x_test.go": "package x\n\n" + lines("long", 61)}, ""},
		"a long function of a suite": {map[string]string{"x.go": "package xtest\n\n" + lines("long", 61) + short(20)}, "x.go:3: long-function"},
		"functions of 11 lines": {map[string]string{"x.go": "package x\n\n" + lines("a", 11) + lines("b", 11)},
			"FAIL all functions: long-function: the median has 11 lines, at most 10 are allowed"},
		"functions of a suite": {map[string]string{"x.go": "package xtest\n\n" + lines("a", 11) + lines("b", 11)}, ""},
		"a tenth of 31 lines": {map[string]string{"x.go": "package x\n\n" + short(9) + lines("a", 31)},
			"FAIL all functions: long-function: 90 % have up to 31 lines, at most 30 are allowed"},
		"a file of 500 lines": {map[string]string{"x.go": "package x\n" + strings.Repeat("\n", 499)}, ""},
		"a file of 501 lines": {map[string]string{"x.go": "package x\n" + strings.Repeat("\n", 500)}, "FAIL x.go: long-file: 501 lines, at most 500 are allowed"},
		"a test file of 501 lines": {map[string]string{"x.go": "package x\n", "y_test.go": "package x\n" + strings.Repeat("\n", 500)},
			"FAIL y_test.go: long-file: 501 lines"},
		"a word for people": {map[string]string{"x.go": "package x\n\n// f is fine.\nfunc f() {\n\t_ = 1 // nobody waits\n}\n"},
			"FAIL x.go:5: words: \"nobody\" is not plain technical English"},
		"a phrase over two lines": {map[string]string{"x.go": "package x\n\n// f takes all but\n// for one.\nfunc f() {\n}\n"}, "FAIL x.go:3: words: \"but for\""},
		"a word in a text":        {map[string]string{"x_test.go": "package x\n\nvar text = \"somebody was here\"\n"}, "FAIL x_test.go:3: words: \"somebody\""},
		"an opener":               {map[string]string{"x.go": "package x\n\n// f waits. Else it ends.\nfunc f() {\n}\n"}, "FAIL x.go:3: words: \"Else\""},
		"a word in Lua":           {map[string]string{"x.go": "package x\n", "lua/a.lua": "local a = 1\nreturn a -- whoever it was\n"}, "FAIL lua/a.lua:2: words: \"whoever\""},
		"a word in SQL":           {map[string]string{"x.go": "package x\n", "a.sql": "-- Nobody reads it.\nSELECT 1\n"}, "FAIL a.sql:1: words: \"Nobody\""},
		"a phrase of a page":      {map[string]string{"x.go": "package x\n", "docs/a.md": "# A\n\nAll but\nfor one.\n"}, "FAIL docs/a.md:3: words: \"but for\""},
		"a word that is quoted, or a name": {map[string]string{"x.go": "package x\n\n// f runs as the user `nobody`.\nfunc f(nobody int) string {\n\treturn \"nobody\"\n}\n",
			"a.lua": "local nobody = 1\n"}, ""},
		"a word in a mutant, which quotes the code": {map[string]string{"internal/mutants/x.go": "package x\n\nvar text = \"// nobody waits\"\n"}, ""},
		"a function without a comment":              {map[string]string{"a/x.go": "package x\n\nfunc F() {}\n"}, "FAIL a/x.go:3: undocumented: F has no doc comment"},
		"a method without a comment": {map[string]string{"a/x.go": "package x\n\n// T is a type.\ntype T int\n\nfunc (t *T) M() {}\n"},
			"FAIL a/x.go:6: undocumented: T.M has no doc comment"},
		"a method of a type that is not exported": {map[string]string{"a/x.go": "package x\n\ntype t int\n\nfunc (t *t) M() {}\n"},
			"FAIL a/x.go:5: undocumented: t.M has no doc comment"},
		"a method of a program": {map[string]string{"a/x.go": "package main\n\ntype t int\n\nfunc (t *t) M() {}\n"},
			"FAIL a/x.go:5: undocumented: t.M has no doc comment"},
		"a type without a comment": {map[string]string{"a/x.go": "package x\n\ntype T int\n"}, "FAIL a/x.go:3: undocumented: T has no doc comment"},
		"a field without a comment": {map[string]string{"a/x.go": "package x\n\n// T is a type.\ntype T struct {\n\tA int // is said\n\tB int\n}\n"},
			"FAIL a/x.go:6: undocumented: T.B has no doc comment"},
		"a method of an interface without a comment": {map[string]string{"a/x.go": "package x\n\n// T is a type.\ntype T interface {\n\t// A is said.\n\tA()\n\tB()\n}\n"},
			"FAIL a/x.go:7: undocumented: T.B has no doc comment"},
		"a constant without a comment": {map[string]string{"a/x.go": "package x\n\nconst C = 1\n"}, "FAIL a/x.go:3: undocumented: C has no doc comment"},
		"constants of a group":         {map[string]string{"a/x.go": "package x\n\n// Numbers.\nconst (\n\tC = 1\n\tD = 2\n)\n"}, ""},
		"a variable without a comment": {map[string]string{"internal/x/x.go": "package x\n\nvar V = 1\n"}, "FAIL internal/x/x.go:3: undocumented: V has no doc comment"},
		"a program":                    {map[string]string{"a/x.go": "package main\n\nfunc F() {}\n"}, ""},
		"61 names of the root":         {map[string]string{"x.go": "package x\n\n" + names.String()}, "FAIL the root: many-names: 61 exported names, at most 60 are allowed"},
		"60 names and an error of the root": {map[string]string{"x.go": "package x\n\n" + strings.Replace(names.String(), "const N0 ", "const ErrN0 ", 1)},
			""},
		"an Example without an Output": {map[string]string{"a/x.go": "package x\n\n// F is a function.\nfunc F() {}\n", "a/x_test.go": "package x\n\nfunc ExampleF() { F() }\n"},
			"FAIL a/x_test.go: no-output: ExampleF has no Output comment"},
		"an Example that uses another file": {map[string]string{"x.go": "package x\n", "x_test.go": "package x_test\n\nfunc Example_a() {\n\tother()\n\t// Output:\n}\n",
			"y_test.go": "package x_test\n\nfunc other() {}\n"}, "FAIL x_test.go: no-program: Example_a is no whole program"},
		"an Example with its own function": {map[string]string{"x.go": "package x\n", "x_test.go": "package x_test\n\nfunc Example_a() {\n\tother()\n\t// Output:\n}\n\nfunc other() {}\n"}, ""},
		"testdata is left out":             {map[string]string{"x.go": "package x\n", "testdata/x.go": "package x\n\nfunc F() {}\n"}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			broken, text := measure(t, c.files)
			if c.want == "" && broken > 0 || c.want != "" && (broken != 1 || !strings.Contains(text, c.want)) {
				t.Errorf("%d rules are broken, want %q in\n%s", broken, c.want, text)
			}
		})
	}
}

func TestWhatHasNoExampleIsNamed(t *testing.T) {
	t.Parallel()
	const (
		function = "package x\n\n// F is a function.\nfunc F() {}\n"
		typed    = "package x\n\n// T is a type.\ntype T struct{}\n\n// M is a method.\nfunc (T) M() {}\n"
		options  = "package x\n\n// Options are options.\ntype Options struct {\n\tInner Inner // inner ones\n}\n\n// Inner is in it.\ntype Inner int\n\n// F is a function.\nfunc F(o Options) {}\n"
	)
	example := func(names ...string) string {
		text := "package x_test\n\n"
		for _, n := range names {
			text += "func Example" + n + "() {\n\tprintln()\n\t// Output:\n}\n\n"
		}
		return text
	}
	for what, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"a function":                    {map[string]string{"x.go": function}, []string{"FAIL x.go:4: no-example: F of the root has no Example"}},
		"a function with one":           {map[string]string{"x.go": function, "x_test.go": tested}, nil},
		"a function with a second one":  {map[string]string{"x.go": function, "x_test.go": example("F_second")}, nil},
		"a method, and its type":        {map[string]string{"hotset/x.go": typed}, []string{"T.M of hotset", "T of hotset"}},
		"a method whose type has one":   {map[string]string{"hotset/x.go": typed, "hotset/x_test.go": example("T")}, []string{"T.M of hotset"}},
		"a method with one":             {map[string]string{"hotset/x.go": typed, "hotset/x_test.go": example("T_M")}, nil},
		"a method of an interface":      {map[string]string{"x.go": strings.Replace(typed, "M is a method.", "M implements y.I.", 1), "x_test.go": example("T")}, nil},
		"a method of the library":       {map[string]string{"x.go": strings.ReplaceAll(typed, "M", "String"), "x_test.go": example("T")}, nil},
		"a type in a signature":         {map[string]string{"x.go": options, "x_test.go": example("F")}, nil},
		"a type in no signature":        {map[string]string{"x.go": options, "x_test.go": example("Options")}, []string{"F of the root"}},
		"an alias of the root's":        {map[string]string{"x.go": "package x\n\n// T is hotset's.\ntype T = hotset.T\n", "hotset/x.go": typed, "x_test.go": example("T_M")}, nil},
		"a package that may do without": {map[string]string{"task/x.go": function}, nil},
		"an internal package":           {map[string]string{"internal/x/x.go": function}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			broken, text := measure(t, c.files)
			if broken != len(c.want) {
				t.Errorf("%d rules are broken, want %d in\n%s", broken, len(c.want), text)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
		})
	}
	if _, text := measure(t, map[string]string{"task/x.go": function}); !strings.Contains(text, "where none is demanded: task.F\n") {
		t.Errorf("task.F is not listed in\n%s", text)
	}
}

func TestWhatIsNoModuleIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := run(t.TempDir(), new(bytes.Buffer)); err == nil {
		t.Error("an empty folder has a shape")
	}
	if _, err := run(filepath.Join(t.TempDir(), "absent"), new(bytes.Buffer)); err == nil {
		t.Error("an absent folder has a shape")
	}
}
