package triggerhook_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	anyLink   = regexp.MustCompile(`(!?)\[([^\]]*)\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	fenced    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	emphasis  = regexp.MustCompile("[*`]")
	testTitle = regexp.MustCompile("^`((?:Test|Fuzz)\\w+)`$")
)

// anchors are the names by which GitHub leads to the headings of a page.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		title := anyLink.ReplaceAllString(emphasis.ReplaceAllString(m[1], ""), "$2")
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)] = true
	}
	return all
}

// markdown are the pages of the tree.
func markdown(t *testing.T) (pages []string) {
	t.Helper()
	for _, path := range files(t) {
		if strings.HasSuffix(path, ".md") && !strings.Contains(path, "/testdata/") {
			pages = append(pages, strings.TrimPrefix(path, "/"))
		}
	}
	if len(pages) < 25 {
		t.Fatalf("%d pages: there are more", len(pages))
	}
	return pages
}

// Each link to a file, or to a heading of a page, leads there; and one that is called like a test leads to the file that has it.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range markdown(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range anyLink.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[3], "://") || strings.HasPrefix(m[3], "mailto:") {
				continue
			}
			if problem := follow(page, string(text), m[2], m[3]); problem != "" {
				t.Errorf("%s: [%s](%s) %s", page, m[2], m[3], problem)
			}
		}
	}
}

// follow says what is wrong with a link of a page, "" if nothing is.
func follow(page, text, title, to string) string {
	path, anchor, anchored := strings.Cut(to, "#")
	target := page
	if path != "" {
		target = filepath.Join(filepath.Dir(page), path)
		info, err := os.Stat(target)
		if err != nil {
			return err.Error()
		}
		if info.IsDir() {
			return ""
		}
		read, err := os.ReadFile(target)
		if err != nil {
			return err.Error()
		}
		text = string(read)
	}
	if anchored && !anchors(text)[anchor] {
		return "leads to a heading that " + target + " does not have"
	}
	if m := testTitle.FindStringSubmatch(title); m != nil && !strings.Contains(text, "\nfunc "+m[1]+"(") {
		return "leads to a file without this test"
	}
	return ""
}

// Each page of docs is linked from the README, where readers look for it.
func TestTheReadmeLeadsToEachPage(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if !strings.Contains(string(text), "]("+page) {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	got := anchors("# A `Word`, and *more* (it's 1.5 x_y)\n```\n# no heading\n```\n## From [a](b) to-c\n")
	for _, want := range []string{"a-word-and-more-its-15-x_y", "from-a-to-c"} {
		if !got[want] {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	if len(got) != 2 {
		t.Errorf("got %v, want 2 anchors", got)
	}
}
