// Package platforms has a test that the command compiles on each platform of a release.
package platforms

import (
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// list are the words of a list of .goreleaser.yaml.
func list(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ +` + name + `: \[(.*)\]$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf(".goreleaser.yaml has no list %s", name)
	}
	return strings.Split(string(m[1]), ", ")
}

// ours are the packages of this repository that the command consists of on a system.
func ours(t *testing.T, c packages.Config) (paths []string) {
	t.Helper()
	c.Mode = packages.NeedName | packages.NeedImports | packages.NeedDeps
	all, err := packages.Load(&c, ".")
	if err != nil {
		t.Fatal(err)
	}
	packages.Visit(all, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, "github.com/triggerhook/") {
			paths = append(paths, p.PkgPath)
		}
	})
	return paths
}

// The packages of the command have no error of types on any system of a release. This reads sources and compiles nothing, which takes a tenth of the
// time: of other modules it reads declarations only, and no linker has a say.
func TestEachSystemOfAReleaseCompiles(t *testing.T) {
	systems := list(t, "goos")
	if !slices.Contains(systems, "windows") || !slices.Contains(systems, "darwin") {
		t.Fatalf("systems %q", systems)
	}
	for _, goos := range systems {
		if goos == runtime.GOOS {
			continue // all tests have compiled it
		}
		c := packages.Config{Dir: "../..", Env: append(os.Environ(), "GOOS="+goos, "GOARCH=arm64", "CGO_ENABLED=0")}
		paths := ours(t, c)
		if len(paths) < 30 {
			t.Errorf("%s: %d packages of ours, want all", goos, len(paths))
		}
		c.Mode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps | packages.NeedTypes
		all, err := packages.Load(&c, paths...)
		if err != nil {
			t.Fatal(err)
		}
		packages.Visit(all, nil, func(p *packages.Package) {
			for _, err := range p.Errors {
				t.Errorf("%s: %v", goos, err)
			}
		})
	}
}
