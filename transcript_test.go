package triggerhook_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what the transcripts in testdata/protocol print now into them")

// Each transcript in testdata/protocol prints what it printed when it was written: which calls each
// step makes on the two stores, in which order, and what both hold then.
func TestProtocolTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/protocol/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcript: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			file, err := readTranscript(path)
			if err != nil {
				t.Fatal(err)
			}
			var got map[*step]string
			synctest.Test(t, func(t *testing.T) {
				if got, err = playAll(t, file, *rewrite); err != nil {
					t.Fatal(err)
				}
			})
			if *rewrite {
				if err := os.WriteFile(path, []byte(file.rewritten(got)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// What a transcript says wrong is refused, with the line and the rule, or the step.
func TestTranscriptsThatSayNothingUsefulAreRefused(t *testing.T) {
	const ready = "ready\n----\n\n"
	for _, c := range []struct{ text, want string }{
		{"# only a comment\n", "there is no step"},
		{"ready\n", "followed by a line of four dashes"},
		{"ready\nflush\n----\n", "followed by a line of four dashes"},
		{"ready lease=\n----\n", `"lease="`},
		{"ready lease=1s lease=2s\n----\n", `"lease=2s"`},
		{ready + "create p a =1s\n----\n", `"=1s"`},
	} {
		if _, err := parseTranscript(strings.Split(c.text, "\n")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %s", c.text, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"dance p\n----\n", "no such command"},
		{"ready speed=2\n----\n", "knows no argument speed"},
		{"ready lease=soon\n----\n", "soon"},
		{ready + "create q a due=1s\n----\n", "no process q"},
		{ready + "create p a due=1s crash=INSERT\n----\n", "crash=INSERT, want"},
		{ready + "confirm w1 a\n----\n", "w1 was handed no a"},
		{ready + "crash w1\n----\n\nclaim w1\n----\n", "process w1 is dead"},
		{ready + "arrive p add\n----\n", "no add of p is on its way"},
		{ready + "advance back\n----\n", "advance back, want"},
		{ready + "worker w1\n----\n", "called w1 already"},
		{ready + "cut w1 disk\n----\n", "disk is no store"},
		{ready + "create p a due=1s crash=before:feed\n----\n", "before:feed was waited for in vain"},
	} {
		synctest.Test(t, func(t *testing.T) {
			parts, err := parseTranscript(strings.Split(strings.TrimSuffix(c.text, "\n"), "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := playAll(t, &transcript{parts: parts}, true); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: got %v, want an error with %s", c.text, err, c.want)
			}
		})
	}
	// The error of a step that prints something else than the file has both.
	synctest.Test(t, func(t *testing.T) {
		parts, err := parseTranscript([]string{"ready", "----", "durable store: another one"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := playAll(t, &transcript{parts: parts}, false); err == nil || !strings.Contains(err.Error(), "want:\ndurable store: another one") {
			t.Errorf("got %v, want an error with what the file has", err)
		}
	})
}

// playAll runs the steps of a transcript, and returns what they print. Unless it is to be rewritten, it
// ends at the first step that prints something else than the file has.
func playAll(t *testing.T, file *transcript, rewrite bool) (got map[*step]string, err error) {
	w := newTranscriptWorld(t)
	defer func() { err = errors.Join(err, w.end()) }()
	got = map[*step]string{}
	for _, part := range file.parts {
		s := part.step
		if s == nil {
			continue
		}
		if got[s], err = w.play(s); err != nil {
			return got, fmt.Errorf("%s:%d: %s: %w", file.path, s.line, s.text, err)
		}
		if got[s] != s.want && !rewrite {
			return got, fmt.Errorf("%s:%d: %s\ngot:\n%s\nwant:\n%s", file.path, s.line, s.text, got[s], s.want)
		}
	}
	return got, nil
}

// play runs one step.
func (w *transcriptWorld) play(s *step) (string, error) {
	began := time.Now()
	if err := w.do(s); err != nil {
		return "", err
	}
	synctest.Wait()
	if names := s.unused(); len(names) > 0 {
		return "", fmt.Errorf("%s knows no argument %s", s.command, strings.Join(names, ", "))
	}
	return w.printed(began)
}
