// Package reread has files that a server reads again when they change: tokens, secrets, a certificate with its key.
//
// Its rules:
//
//   - LastGood: Get returns what was made of the last contents without an error. A file that is away, half written or wrong changes nothing.
//   - SecondOld: a Get that comes a second or more after a change of the files goes by their new contents, if no other call is reading them.
//   - Contents: files have changed if their contents have, because a time of change may be too coarse to tell two edits apart. Files that
//     belong together are read in one look, and a look between the edits of two of them is repaired by the next one.
//   - NoQueue: while one call reads the files, the others go on with the value of before. A file system that hangs holds up one call.
//   - Told: an error is logged once, and not again until it changes. Failed reports it for as long as it lasts.
package reread

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lookAgain is how long a value is used without a look at the files.
const lookAgain = time.Second

// Files are files of which a value is made, again whenever they change. All methods may be called at the same time.
type Files[T any] struct {
	what  string
	paths []string
	parse func(texts [][]byte) (T, error)
	log   *slog.Logger

	value  atomic.Pointer[T]
	failed atomic.Bool

	looking sync.Mutex // held by the call that looks, which owns the rest
	looked  time.Time
	texts   [][]byte // what was parsed last, with or without an error
	failure string   // what was logged last; "" after a success
}

// Open reads the files, and makes the first value of them. An error names the file, or comes from parse. what names the value in the log. parse
// gets the contents in the order of paths; its errors must not hold secrets, because they are logged.
func Open[T any](what string, log *slog.Logger, parse func(texts [][]byte) (T, error), paths ...string) (*Files[T], error) {
	f := &Files[T]{what: what, paths: paths, parse: parse, log: log, looked: time.Now()}
	texts, err := f.read()
	if err != nil {
		return nil, err
	}
	value, err := f.make(texts)
	if err != nil {
		return nil, err
	}
	f.texts = texts
	f.value.Store(&value)
	return f, nil
}

// Get returns the value, and looks at the files first if the last look was a second ago.
func (f *Files[T]) Get() T {
	if f.looking.TryLock() {
		defer f.looking.Unlock()
		if now := time.Now(); now.Sub(f.looked) >= lookAgain {
			f.looked = now
			f.look()
		}
	}
	return *f.value.Load()
}

// Failed reports whether the value is not that of the present files, because they cannot be read or have an error. It looks as Get does.
func (f *Files[T]) Failed() bool {
	f.Get()
	return f.failed.Load()
}

// look reads the files, and makes a new value if they have changed.
func (f *Files[T]) look() {
	texts, err := f.read()
	if err != nil {
		f.texts = nil // what comes back is read, even if it is what was there before: the failure is over then
		f.fail(err)
		return
	}
	if slices.EqualFunc(texts, f.texts, bytes.Equal) {
		return
	}
	f.texts = texts
	value, err := f.make(texts)
	if err != nil {
		f.fail(err)
		return
	}
	f.value.Store(&value)
	f.failed.Store(false)
	f.failure = ""
	f.log.Info("read again: "+f.what, "files", f.paths)
}

// fail keeps the value of before, and logs why.
func (f *Files[T]) fail(err error) {
	f.failed.Store(true)
	if err.Error() == f.failure {
		return
	}
	f.failure = err.Error()
	f.log.Error("cannot be read again, those of before go on: "+f.what, "err", err)
}

func (f *Files[T]) read() (texts [][]byte, err error) {
	for _, path := range f.paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// make makes a value of texts. An error names the files.
func (f *Files[T]) make(texts [][]byte) (value T, err error) {
	if value, err = f.parse(texts); err != nil {
		return value, fmt.Errorf("%s: %w", strings.Join(f.paths, " and "), err)
	}
	return value, nil
}
