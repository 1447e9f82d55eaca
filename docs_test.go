package triggerhook_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)((?:/[\\w.+-]+)*)`")
	subName  = regexp.MustCompile(`"([A-Z]\w+)"`)
	target   = regexp.MustCompile("`make ([a-z-]+)[^`]*`")
	file     = regexp.MustCompile("`([\\w./-]*\\w\\.(?:go|lua|sql|md|pml|sh|yaml))`")
	folder   = regexp.MustCompile("`((?:bench|consumer|docs|durable|examples|hook|hotset|internal|metrics|middleware|scripts|seal|task|triggerhooktest|typed)/[\\w/]*)`")
)

// source is what the tree's Go files name: tests, and strings that may name subtests.
func source(t *testing.T) (tests, strs map[string]bool) {
	t.Helper()
	tests, strs = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		}
		for _, m := range subName.FindAllStringSubmatch(string(text), -1) {
			strs[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, strs
}

// files is what the tree holds, by paths that begin with a slash.
func files(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		all = append(all, "/"+filepath.ToSlash(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What the pages name exists: tests, with the last element of a subtest's name, make
// targets, files (by the end of their paths), and folders. Links are of TestLinksLeadSomewhere.
func TestTheDocumentationNamesWhatThereIs(t *testing.T) {
	tests, strs := source(t)
	tree := files(t)
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "docs/model/README.md", "README.md", "DEVELOPERS.md", "CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
			sub := m[2][strings.LastIndexByte(m[2], '/')+1:]
			if !tests[m[1]] || sub != "" && sub[0] >= 'A' && sub[0] <= 'Z' && !strs[sub] {
				t.Errorf("%s names a test that is not in the tree: %s%s", page, m[1], m[2])
			}
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s names a target that the Makefile does not have: %s", page, m[1])
			}
		}
		for _, m := range file.FindAllStringSubmatch(string(text), -1) {
			if !slices.ContainsFunc(tree, func(path string) bool { return strings.HasSuffix(path, "/"+m[1]) }) {
				t.Errorf("%s names a file that is not in the tree: %s", page, m[1])
			}
		}
		for _, m := range folder.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s names %s: %v", page, m[1], err)
			}
		}
	}
}

// The layout in docs/design.md, paths before two spaces, names what there is.
func TestTheLayoutNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "### Layout\n\n```\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("there is no layout")
	}
	for line := range strings.Lines(block) {
		paths, what, _ := strings.Cut(line, "  ")
		if strings.TrimSpace(what) == "" {
			t.Errorf("it does not say what this is: %s", line)
		}
		for _, path := range strings.Fields(paths) {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the layout names %s: %v", path, err)
			}
		}
	}
}

// Each row of the table of others' mistakes names a test.
func TestEachLessonHasATest(t *testing.T) {
	text, err := os.ReadFile("docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| seen in | what happened | here | test |\n| --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("there is no such table")
	}
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || !testName.MatchString(cells[3]) {
			t.Errorf("a row without a test: %s", line)
		}
	}
	if rows < 33 {
		t.Errorf("%d rows, want those of 25 reports and 8 of the predecessor", rows)
	}
}
