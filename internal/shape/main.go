// Command shape measures the source against the figures of the house style, prints them, and
// fails with the place and the rule of each name that breaks one.
//
//	go run ./internal/shape [FOLDER]
//
// The rules:
//
//	long-function   No function has more than 60 lines, from "func" to its closing brace. The
//	                median is at most 10 lines, and 90 % have at most 30, without the suites
//	                (packages like durabletest). Test files are left out; a function literal
//	                counts as a part of the function around it.
//	long-file       No file has more than 500 lines, test files included.
//	undocumented    Each exported function, type, method, constant, variable, field of an
//	                exported struct and method of an exported interface has a doc comment, a
//	                comment at the end of its line, or (constants, variables) one of its group;
//	                so has each method with an exported name of a type that is not exported.
//	                Of programs only the latter count; test files are left out.
//	no-example      Rules for Examples hold in the root, durable, hotset, consumer and others ("demanded"
//	                in examples.go).
//	                Each exported function F has an ExampleF, and each exported method M of a
//	                type T has an ExampleT_M. A method needs none if its doc comment says which
//	                interface it implements, or if it is one of the standard library's (Error,
//	                Is, Unwrap, String, MarshalText, UnmarshalText). A type has an ExampleT or
//	                an ExampleT_M, or is in the signature of what has an Example, or in a
//	                field of such a type. An Example of an alias counts for the name that it stands for.
//	                For the other packages what has no Example is only listed.
//	no-output       Each Example has an "Output:" comment. Without it the Example does not run.
//	no-program      In the packages in which each exported name has an Example, go/doc can make a
//	                whole program of each Example, which pkg.go.dev shows: all that it uses is
//	                declared in its own file, or imported.
//	many-names      The root has at most 60 exported names besides its errors.
//	words           Comments, texts, comments of scripts in Lua and SQL, and pages use no word of a
//	                list of archaic words, and no word for people where a row, a member, a call or
//	                a process is meant ("banned" in words.go).
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	broken, err := run(dir, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shape:", err)
		os.Exit(2)
	}
	if broken > 0 {
		os.Exit(1)
	}
}

// run measures the module in dir, prints what it finds, and returns how many rules are broken.
func run(dir string, out io.Writer) (broken int, err error) {
	m, err := load(dir)
	if err != nil {
		return 0, err
	}
	var r report
	m.functions(&r)
	m.files(&r)
	m.documented(&r)
	m.exampled(&r)
	m.outputs(&r)
	m.rootNames(&r)
	m.worded(&r)
	return r.print(out), nil
}

// report collects the figures, what breaks a rule, and what is only listed.
type report struct {
	figures []string
	broken  []string
	listed  []string
}

// figure adds a line of figures.
func (r *report) figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

// breaks adds a place that breaks a rule.
func (r *report) breaks(place, rule, format string, args ...any) {
	r.broken = append(r.broken, fmt.Sprintf("%s: %s: %s", place, rule, fmt.Sprintf(format, args...)))
}

// print writes the report and returns how many places break a rule.
func (r *report) print(out io.Writer) int {
	for _, line := range r.figures {
		fmt.Fprintln(out, line)
	}
	if len(r.listed) > 0 {
		fmt.Fprintln(out, "without an Example, where none is demanded:", strings.Join(r.listed, ", "))
	}
	slices.Sort(r.broken)
	for _, line := range r.broken {
		fmt.Fprintln(out, "FAIL", line)
	}
	return len(r.broken)
}
