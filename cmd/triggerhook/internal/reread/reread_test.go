package reread

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world is a pair of files whose value is their two words, which must be equal.
type world struct {
	*testing.T
	dir  string
	logs bytes.Buffer
	*Files[string]
}

var errUnequal = errors.New("the words are not equal")

func both(texts [][]byte) (string, error) {
	if !bytes.Equal(texts[0], texts[1]) {
		return "", errUnequal
	}
	return string(texts[0]), nil
}

func (w *world) put(name, text string) {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) open(parse func(texts [][]byte) (string, error)) {
	w.Helper()
	var err error
	w.Files, err = Open("words", slog.New(slog.NewTextHandler(&w.logs, nil)), parse, filepath.Join(w.dir, "a"), filepath.Join(w.dir, "b"))
	if err != nil {
		w.Fatal(err)
	}
}

// wants checks Get and Failed.
func (w *world) wants(value string, failed bool) {
	w.Helper()
	if got, is := w.Get(), w.Failed(); got != value || is != failed {
		w.Errorf("got %q, failed %t; want %q, %t; log:\n%s", got, is, value, failed, &w.logs)
	}
}

// logged checks how many errors the log has.
func (w *world) logged(want int) {
	w.Helper()
	if got := strings.Count(w.logs.String(), "level=ERROR"); got != want {
		w.Errorf("%d errors in the log, want %d:\n%s", got, want, &w.logs)
	}
}

// second lets a second go by: the clock of the bubble moves on when its only goroutine waits.
func second() { <-time.After(lookAgain) }

// in runs a test in a bubble, with files that hold "one".
func in(t *testing.T, test func(w *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, dir: dir}
		w.put("a", "one")
		w.put("b", "one")
		test(w)
	})
}

// SecondOld, LastGood and Told, through the edits of a pair: one file after the other, nonsense, a file that is away, and back.
func TestEdits(t *testing.T) {
	in(t, func(w *world) {
		w.open(both)
		w.wants("one", false)
		w.put("a", "two")
		w.put("b", "two")
		<-time.After(lookAgain - time.Millisecond)
		w.wants("one", false) // not each call reads the files
		<-time.After(time.Millisecond)
		w.wants("two", false)

		w.put("a", "three") // a look between the edits of a pair
		second()
		w.wants("two", true)
		second()
		w.wants("two", true)
		w.logged(1)
		w.put("b", "three")
		second()
		w.wants("three", false)

		if err := os.Remove(filepath.Join(w.dir, "b")); err != nil {
			w.Fatal(err)
		}
		for range 3 {
			second()
			w.wants("three", true)
		}
		w.logged(2)
		w.put("b", "three") // as before: no error is left
		second()
		w.wants("three", false)
		for n, text := range []string{"four", "five"} { // an error that was there before is logged again after a success
			w.put("b", text)
			second()
			w.wants([]string{"three", "four"}[n], true)
			w.logged(3 + n)
			w.put("a", text)
			second()
			w.wants(text, false)
		}
	})
}

// Contents: two edits that leave size and time of change as they were are seen.
func TestAnEditThatOnlyContentsShow(t *testing.T) {
	in(t, func(w *world) {
		w.open(both)
		at := time.Unix(1, 0)
		for _, text := range []string{"two", "six"} {
			w.put("a", text)
			w.put("b", text)
			for _, name := range []string{"a", "b"} {
				if err := os.Chtimes(filepath.Join(w.dir, name), at, at); err != nil {
					w.Fatal(err)
				}
			}
			second()
			w.wants(text, false)
		}
	})
}

// NoQueue: while a call reads the files, others get the value of before at once.
func TestOneCallReads(t *testing.T) {
	in(t, func(w *world) {
		reads, release := 0, make(chan bool)
		w.open(func(texts [][]byte) (string, error) {
			if reads++; reads > 1 {
				<-release
			}
			return both(texts)
		})
		w.put("a", "two")
		w.put("b", "two")
		second()
		var first string
		var calls sync.WaitGroup
		calls.Go(func() { first = w.Get() })
		synctest.Wait()
		for range 3 {
			w.wants("one", false)
			second()
		}
		close(release)
		calls.Wait()
		if first != "two" || reads != 2 {
			t.Errorf("the call that reads got %q, want two; %d reads, want 2", first, reads)
		}
		w.wants("two", false)
	})
}

// Open returns what is wrong, and names the files.
func TestOpenRefuses(t *testing.T) {
	in(t, func(w *world) {
		log, a := slog.New(slog.DiscardHandler), filepath.Join(w.dir, "a")
		if _, err := Open("words", log, both, a, filepath.Join(w.dir, "away")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "away") {
			t.Errorf("a file that is not there: %v", err)
		}
		w.put("b", "two")
		if _, err := Open("words", log, both, a, filepath.Join(w.dir, "b")); !errors.Is(err, errUnequal) || !strings.Contains(err.Error(), a) {
			t.Errorf("a pair that does not fit: %v", err)
		}
	})
}
