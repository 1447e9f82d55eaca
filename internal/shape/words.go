package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// banned are words that the house style does not use: archaic ones, and names for people where a
// row, a member, a call or a process is meant.
var banned = regexp.MustCompile(`(?i)\b(but\s+for|nobody|somebody|everybody|anybody|whoever|whom|himself|herself|thereof)\b`)

// opener is "Else" at the beginning of a sentence.
var opener = regexp.MustCompile(`(?:^|[.:;]\s+)(Else)\b`)

// quoted is what a text only quotes, as the name of a user or of a value.
var quoted = regexp.MustCompile("`[^`\n]*`|\"[^\"\n]*\"")

// quoting are folders whose texts quote code, or the banned words.
var quoting = []string{"internal/mutants", "internal/shape"}

// worded checks the words of comments, of texts in Go, of the comments of scripts in SQL and Lua, and of pages.
func (m *module) worded(r *report) {
	for _, s := range m.all {
		folder := folderOf(s.path)
		for _, c := range s.file.Comments {
			m.words(r, s.path, m.fset.Position(c.Pos()).Line, c.Text())
		}
		if slices.Contains(quoting, folder) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, is := n.(*ast.BasicLit); is && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, " ") {
					m.words(r, s.path, m.fset.Position(lit.Pos()).Line, text)
				}
			}
			return true
		})
	}
	for path, text := range m.scripts {
		if strings.HasSuffix(path, ".md") {
			m.words(r, path, 1, text)
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			if _, comment, is := strings.Cut(line, "--"); is {
				m.words(r, path, i+1, strings.TrimSpace(comment))
			}
		}
	}
}

// words reports each banned word of text, which begins at that line.
func (m *module) words(r *report, path string, line int, text string) {
	text = quoted.ReplaceAllStringFunc(text, func(q string) string { return strings.Repeat(" ", len(q)) })
	for _, re := range []*regexp.Regexp{banned, opener} {
		for _, at := range re.FindAllStringSubmatchIndex(text, -1) {
			word := strings.Join(strings.Fields(text[at[2]:at[3]]), " ")
			r.breaks(fmt.Sprintf("%s:%d", path, line+strings.Count(text[:at[2]], "\n")), "words", "%q is not plain technical English", word)
		}
	}
}

// folderOf is the folder of a path with slashes, "" for the root.
func folderOf(path string) string {
	return strings.TrimSuffix(path[:strings.LastIndex(path, "/")+1], "/")
}
