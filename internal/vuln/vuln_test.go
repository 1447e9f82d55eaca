package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const osv = `{"id":"GO-2026-0001","modified":"2026-01-02T00:00:00Z","aliases":["CVE-2026-1"],"affected":[
	{"package":{"name":"example.com/a"}},{"package":{"name":"example.com/a"}},{"package":{"name":"stdlib"}}]}`

// The index leads from a module to each report that concerns it, once.
func TestTheIndexHasEachReport(t *testing.T) {
	reports, db := t.TempDir(), t.TempDir()
	if err := index(reports, db); err == nil {
		t.Error("an index of no reports is made")
	}
	if err := os.WriteFile(filepath.Join(reports, "GO-2026-0001.json"), []byte(osv), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := index(reports, db); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(db, "index", "modules.json"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []module
	if err := json.Unmarshal(text, &modules); err != nil {
		t.Fatal(err)
	}
	if len(modules) != 2 || modules[0].Path != "example.com/a" || len(modules[0].Vulns) != 1 || modules[0].Vulns[0].ID != "GO-2026-0001" {
		t.Errorf("got %s", text)
	}
	if text, err := os.ReadFile(filepath.Join(db, "ID", "GO-2026-0001.json")); err != nil || string(text) != osv {
		t.Errorf("the report is %s, %v", text, err)
	}
}

// Only what is called counts, once each, and the standard library apart.
func TestFindingsAreWhatIsCalled(t *testing.T) {
	f, err := read(strings.NewReader(`{"config":{}}
		{"finding":{"osv":"GO-1","trace":[{"module":"example.com/a","version":"v1"}]}}
		{"finding":{"osv":"GO-1","trace":[{"module":"example.com/a","version":"v1","package":"example.com/a/b"}]}}
		{"finding":{"osv":"GO-1","fixed_version":"v2","trace":[{"module":"example.com/a","version":"v1","package":"example.com/a/b","function":"F"}]}}
		{"finding":{"osv":"GO-1","fixed_version":"v2","trace":[{"module":"example.com/a","version":"v1","package":"example.com/a/b","function":"G"}]}}
		{"finding":{"osv":"GO-2","fixed_version":"v3","trace":[{"module":"stdlib","version":"v1","package":"net/http","function":"Do"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"GO-1 in example.com/a/b v1, fixed in v2"}; !slices.Equal(f.modules, want) {
		t.Errorf("modules: got %q, want %q", f.modules, want)
	}
	if want := []string{"GO-2 in net/http v1, fixed in v3"}; !slices.Equal(f.standard, want) {
		t.Errorf("standard library: got %q, want %q", f.standard, want)
	}
	if _, err := read(strings.NewReader("nonsense")); err == nil {
		t.Error("nonsense is read")
	}
}
