package failpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/internal/failpoint"
)

// points are all that the library's code names.
func points(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"../../consumer/*.go", "../*/*.go"} {
		more, err := filepath.Glob(folder)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	hit := regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range hit.FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
	}
	if len(all) == 0 {
		t.Fatal("the code names no point")
	}
	return all
}

// built is a program with all of the library, as a user builds it or with args, and its symbols. It lies where no
// path has this package in its name.
func built(t *testing.T, args ...string) (program []byte, symbols string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "everything")
	args = append(append([]string{"build"}, args...), "-o", path, "../crash/testdata/everything")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %q: %v: %s", args, err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "nm", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return program, string(out)
}

// A production build holds neither the function, nor its package's name, nor the
// name of any point: each call is inlined to nothing. A build with the tag holds
// them all, so that this test would see them.
func TestAProductionBuildHasNoTrace(t *testing.T) {
	const function = "internal/failpoint.Hit"
	names := append(points(t), failpoint.Env, "failpoint")
	program, symbols := built(t)
	for _, n := range names {
		if bytes.Contains(program, []byte(n)) {
			t.Errorf("a production build contains %q", n)
		}
	}
	if strings.Contains(symbols, function) {
		t.Errorf("a production build has the symbol %s", function)
	}
	program, symbols = built(t, "-tags", "failpoint")
	for _, n := range names {
		if !bytes.Contains(program, []byte(n)) {
			t.Errorf("a build with the tag does not contain %q", n)
		}
	}
	if !strings.Contains(symbols, function) {
		t.Errorf("a build with the tag has no symbol %s", function)
	}
}

// No call is left in a production build: at most a NOP marks where one stood.
func TestHitIsInlined(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "can inline Hit") {
		t.Errorf("go build -gcflags=-m: %v: %s", err, out)
	}
}
