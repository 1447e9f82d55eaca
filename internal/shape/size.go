package main

import (
	"go/ast"
	"slices"
	"strings"
)

const (
	mostLines     = 60  // of a function
	medianLines   = 10  // of all functions
	ninetyLines   = 30  // of nine of ten
	mostFileLines = 500 // of a file
	mostNames     = 60  // that the root exports besides its errors
)

// functions measures the functions that are not tests.
func (m *module) functions(r *report) {
	var sizes []int
	all, over := 0, 0
	for _, s := range m.all {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			f, is := d.(*ast.FuncDecl)
			if !is || f.Body == nil {
				continue
			}
			n := m.fset.Position(f.End()).Line - m.fset.Position(f.Pos()).Line + 1
			if all++; !s.suite() {
				sizes = append(sizes, n)
			}
			if n > mostLines {
				over++
				r.breaks(m.place(f), "long-function", "%s has %d lines, at most %d are allowed", f.Name.Name, n, mostLines)
			}
		}
	}
	if len(sizes) == 0 {
		return
	}
	slices.Sort(sizes)
	median, ninety := sizes[len(sizes)/2], sizes[len(sizes)*9/10]
	r.figure("functions: %d, over %d lines: %d; without the suites: %d, median %d (at most %d), 90 %% within %d (at most %d)",
		all, mostLines, over, len(sizes), median, medianLines, ninety, ninetyLines)
	if median > medianLines {
		r.breaks("all functions", "long-function", "the median has %d lines, at most %d are allowed", median, medianLines)
	}
	if ninety > ninetyLines {
		r.breaks("all functions", "long-function", "90 %% have up to %d lines, at most %d are allowed", ninety, ninetyLines)
	}
}

// suite reports whether s is of a package like durabletest, whose functions are tests in all
// but their names.
func (s *source) suite() bool { return strings.HasSuffix(s.file.Name.Name, "test") }

// files measures all files, tests too.
func (m *module) files(r *report) {
	over, longest := 0, 0
	for _, s := range m.all {
		longest = max(longest, s.lines)
		if s.lines > mostFileLines {
			over++
			r.breaks(s.path, "long-file", "%d lines, at most %d are allowed", s.lines, mostFileLines)
		}
	}
	r.figure("files: %d, over %d lines: %d, longest %d", len(m.all), mostFileLines, over, longest)
}
