package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// report is what the index needs of a vulnerability's report, in the OSV format.
type report struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Aliases  []string  `json:"aliases"`
	Affected []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
	} `json:"affected"`
}

// The files of the index, as govulncheck reads them. (It takes what a module's
// versions are compared with from the reports.)
type (
	meta struct {
		Modified time.Time `json:"modified"`
	}
	vulnerability struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
		Aliases  []string  `json:"aliases,omitempty"`
	}
	module struct {
		Path  string          `json:"path"`
		Vulns []vulnerability `json:"vulns"`
	}
)

// index makes a database in db from a folder of reports.
func index(reports, db string) error {
	files, err := filepath.Glob(filepath.Join(reports, "GO-*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no reports in %s", reports)
	}
	for _, dir := range []string{"ID", "index"} {
		if err := os.Mkdir(filepath.Join(db, dir), 0o700); err != nil {
			return fmt.Errorf("make database: %w", err)
		}
	}
	var vulns []vulnerability
	var modules []*module
	byPath := map[string]*module{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read report: %w", err)
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("read report %s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(db, "ID", r.ID+".json"), text, 0o600); err != nil {
			return fmt.Errorf("make database: %w", err)
		}
		vulns = append(vulns, vulnerability{ID: r.ID, Modified: r.Modified, Aliases: r.Aliases})
		for _, a := range r.Affected {
			path := a.Package.Name
			m := byPath[path]
			if m == nil {
				m = &module{Path: path}
				byPath[path], modules = m, append(modules, m)
			}
			if n := len(m.Vulns); n == 0 || m.Vulns[n-1].ID != r.ID {
				m.Vulns = append(m.Vulns, vulnerability{ID: r.ID, Modified: r.Modified})
			}
		}
	}
	for name, content := range map[string]any{"db": meta{time.Now().UTC()}, "vulns": vulns, "modules": modules} {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(db, "index", name+".json"), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("make database: %w", err)
		}
	}
	return nil
}
