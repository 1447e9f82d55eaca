package retry

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Failures remembers the last error of a retry, how many tasks were given up, and why.
type Failures struct {
	mu      sync.Mutex
	at      time.Time
	err     error
	givenUp int
	why     error // the last tasks were given up; a try that fails after that does not hide it
}

// Note notes the error of a try. A nil error and context.Canceled are none.
func (f *Failures) Note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.err = time.Now(), err
}

// GiveUp notes that n tasks were given up because of err.
func (f *Failures) GiveUp(n int, err error) {
	f.Note(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.givenUp, f.why = f.givenUp+n, err
}

// GivenUp returns how many tasks were given up since the process began, and why the last were.
func (f *Failures) GivenUp() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.givenUp, f.why
}

// Since returns the last error that was noted, if that was at then or later.
func (f *Failures) Since(then time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.Before(then) {
		return nil
	}
	return f.err
}
