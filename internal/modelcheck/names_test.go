package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// method is a method as the head of a model names it: Reader.LongestLease, feeder.round.
var method = regexp.MustCompile(`\b([A-Za-z]+)\.([a-z][A-Za-z]+|[A-Z][A-Za-z]+)\b`)

// notMethods are files and packages, which look the same.
var notMethods = regexp.MustCompile(`\.(go|lua|pml|sql|md)$`)

// The head of each model says which methods its processes stand for. The code has them all.
func TestModelsNameMethodsThatExist(t *testing.T) {
	code := source(t)
	models, err := filepath.Glob("../../docs/model/*.pml")
	if err != nil || len(models) == 0 {
		t.Fatalf("no models: %v", err)
	}
	named := 0
	for _, file := range models {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "*/")
		for _, m := range method.FindAllStringSubmatch(head, -1) {
			if notMethods.MatchString(m[0]) {
				continue
			}
			named++
			if !regexp.MustCompile(`func \(\w+ \*?`+m[1]+`\) `+m[2]+`\b`).MatchString(code) && !function(m[1], m[2]) {
				t.Errorf("%s names %s, and no type %s has a method %s", filepath.Base(file), m[0], m[1], m[2])
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d methods are named", named)
	}
}

// function reports whether a package of internal has that function.
func function(pkg, name string) bool {
	files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
	for _, file := range files {
		text, e := os.ReadFile(file)
		if err == nil && e == nil && strings.Contains(string(text), "func "+name+"(") {
			return true
		}
	}
	return false
}

// source is the code of this module, without tests.
func source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
