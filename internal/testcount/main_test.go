package main

import (
	"io"
	"strings"
	"testing"
)

func TestTheLineCountsLeavesByServer(t *testing.T) {
	stream := `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/mysql97+redis7"}
{"Action":"pass","Package":"p","Test":"TestA/mysql97+redis7"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p"}
`
	c := tally{servers: map[string]int{}, output: map[string][]string{}, parents: map[string]bool{}}
	if err := c.read(strings.NewReader(stream), io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := c.line(), "1 passed, 1 failed, 1 skipped (mysql97: 1, redis7: 1)"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}

// Each package has a line with the seconds that it took.
func TestAPackageHasALineWithItsSeconds(t *testing.T) {
	var out strings.Builder
	c := tally{servers: map[string]int{}, output: map[string][]string{}, parents: map[string]bool{}}
	if err := c.read(strings.NewReader(`{"Action":"pass","Package":"p","Elapsed":12.4}`), &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "pass p 12 s\n"; got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
}

// A process that ends in the middle of a test shows what that test had said.
func TestWhatEndedAProcessIsShown(t *testing.T) {
	var out strings.Builder
	c := tally{servers: map[string]int{}, output: map[string][]string{}, parents: map[string]bool{}}
	stream := `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"fatal error: out of luck\n"}
{"Action":"output","Package":"q","Test":"TestB","Output":"all is well\n"}
{"Action":"fail","Package":"p"}
`
	if err := c.read(strings.NewReader(stream), &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "UNFINISHED p TestA\nfatal error: out of luck\n") || strings.Contains(got, "well") {
		t.Errorf("it printed %q, want what TestA had said, and nothing of TestB", got)
	}
}
