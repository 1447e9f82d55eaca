package triggerhook_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	cellName = regexp.MustCompile("`([a-z]+/[a-z]+)(?::\\d)?`")
	cellList = regexp.MustCompile(`(?s)Cells: (.*?)\.\n`)
	fileLink = regexp.MustCompile(`\]\(\.\./testdata/protocol/([\w-]+\.txt)\)`)
)

// transcripts are the files of testdata/protocol by their names.
func transcripts(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/protocol/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d transcripts, %v", len(paths), err)
	}
	all := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = string(text)
	}
	return all
}

// Each transcript begins with a comment that says what it shows, and a page leads to it.
func TestEachTranscriptSaysWhatItShows(t *testing.T) {
	pages := ""
	for _, page := range []string{"docs/lifecycle.md", "docs/crashes.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		pages += string(text)
	}
	for name, text := range transcripts(t) {
		if first, _, _ := strings.Cut(text, "\n"); !strings.HasPrefix(first, "# ") || len(first) < 20 {
			t.Errorf("%s begins with %q, want a comment that says what it shows", name, first)
		}
		if !strings.Contains(pages, "testdata/protocol/"+name) {
			t.Errorf("neither docs/lifecycle.md nor docs/crashes.md leads to %s", name)
		}
	}
}

// Blocks in docs/lifecycle.md are quoted from the transcript that the page has named last.
func TestTheLifecycleQuotesTranscripts(t *testing.T) {
	page, err := os.ReadFile("docs/lifecycle.md")
	if err != nil {
		t.Fatal(err)
	}
	all := transcripts(t)
	parts := strings.Split(string(page), "\n```")
	from := ""
	for i := 0; i+1 < len(parts); i += 2 {
		if links := fileLink.FindAllStringSubmatch(parts[i], -1); len(links) > 0 {
			from = links[len(links)-1][1]
		}
		block := strings.TrimPrefix(parts[i+1], "\n")
		if !strings.Contains("\n"+all[from], "\n"+block+"\n") {
			t.Errorf("docs/lifecycle.md quotes what is not in %s:\n%s", from, block)
		}
	}
	if len(parts) < 20 || len(parts)%2 == 0 {
		t.Errorf("docs/lifecycle.md has %d fences, want at least 10 blocks", len(parts)-1)
	}
}

// Each flow of the crash table leads to a transcript, or says why there is none; and the transcript
// names cells of that flow. Cells that transcripts name are in the table.
func TestTheCrashTableLeadsToTranscripts(t *testing.T) {
	page, err := os.ReadFile("docs/crashes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "| flow | transcript |\n| --- | --- |\n")
	if !found {
		t.Fatal("docs/crashes.md has no table of transcripts")
	}
	listed, _, _ := strings.Cut(rest, "\n\n")
	cells := map[string]bool{}
	flows := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		for _, m := range cellName.FindAllStringSubmatch(line, -1) {
			flow, _, _ := strings.Cut(m[1], "/")
			cells[m[1]], flows[flow] = true, true
		}
	}
	shown := map[string]map[string]bool{} // by transcript, the flows of its cells
	for name, text := range transcripts(t) {
		shown[name] = map[string]bool{}
		for _, m := range cellList.FindAllStringSubmatch(strings.ReplaceAll(text, "\n# ", " "), -1) {
			for _, cell := range strings.Split(m[1], ", ") {
				flow, _, _ := strings.Cut(cell, "/")
				if shown[name][flow] = true; !cells[cell] {
					t.Errorf("%s names the cell %q, which docs/crashes.md does not have", name, cell)
				}
			}
		}
	}
	for line := range strings.Lines(listed) {
		flow, what, _ := strings.Cut(strings.Trim(line, "| \n"), " | ")
		if !flows[flow] {
			t.Errorf("the table of transcripts names %q, which is no flow, or twice", flow)
		}
		delete(flows, flow)
		links := fileLink.FindAllStringSubmatch(what, -1)
		if len(links) == 0 && !strings.HasPrefix(what, "none: ") {
			t.Errorf("flow %s leads to no transcript, and does not say why", flow)
		}
		for _, m := range links {
			if !shown[m[1]][flow] {
				t.Errorf("flow %s leads to %s, which names no cell of it", flow, m[1])
			}
		}
	}
	for _, flow := range slices.Sorted(maps.Keys(flows)) {
		t.Errorf("the table of transcripts has no row for %s", flow)
	}
}
