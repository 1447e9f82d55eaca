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
	c := newTally()
	if err := c.read(strings.NewReader(stream), io.Discard); err != nil {
		t.Fatal(err)
	}
	c.count()
	if got, want := c.line(), "1 passed, 1 failed, 1 skipped (mysql97: 1, redis7: 1)"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}

// Each package has a line with the seconds that it took.
func TestAPackageHasALineWithItsSeconds(t *testing.T) {
	var out strings.Builder
	c := newTally()
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
	c := newTally()
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

// A command that has not run all packages fails, whatever those that ran say.
func TestEachPackageMustEnd(t *testing.T) {
	c := newTally()
	err := c.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
{"Action":"skip","Package":"q"}
{"Action":"output","Package":"r","Output":"=== RUN TestB\n"}
`), io.Discard)
	if err != nil || c.whole(2) != nil || c.whole(3) == nil {
		t.Errorf("two of three packages came to an end: %v, and %v of 2, %v of 3", err, c.whole(2), c.whole(3))
	}
}

// A package that the race detector itself has ended runs once more, and only that run counts; a second time it is a failure, and so is all else
// that ends a process.
func TestAPackageRunsAgainIfTheRaceDetectorFailed(t *testing.T) {
	ended := func(why string) string {
		return `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"` + why + `\n"}
{"Action":"fail","Package":"p"}
`
	}
	whole := `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}
`
	crash := ended("ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346")
	for name, c := range map[string]struct{ first, second, want string }{
		"passes then":        {crash, whole, "2 passed, 0 failed ()"},
		"fails then":         {crash, strings.Replace(whole, `"pass","Package":"p","Test":"TestB"`, `"fail","Package":"p","Test":"TestB"`, 1), "1 passed, 1 failed ()"},
		"ends so once more":  {crash, crash, "1 passed, 1 failed ()"},
		"does not build":     {crash, "", "0 passed, 1 failed ()"},
		"ends in other ways": {ended("fatal error: out of luck"), whole, "1 passed, 1 failed ()"},
	} {
		tally, runs := newTally(), 0
		err := tally.read(strings.NewReader(c.first), io.Discard)
		if err == nil {
			err = tally.repeat(io.Discard, func(string) ([]byte, error) { runs++; return []byte(c.second), nil })
		}
		tally.count()
		if got := tally.line(); err != nil || got != c.want || runs > 1 {
			t.Errorf("%s: %q after %d runs, %v, want %q", name, got, runs, err, c.want)
		}
	}
}
