package task

import (
	"fmt"
	"strconv"
	"strings"
)

// Window is how far beyond the hot set's time the horizon may be, in milliseconds, by
// what the processes of a namespace have recorded. Neither value ever shrinks. The zero
// Window says that none is recorded.
type Window struct {
	SettledMS   int64 // no feeder raises a horizon further; 0: none has begun yet
	AnnouncedMS int64 // what SettledMS is to be; at least that
}

// MarshalText returns both values, for a store.
func (w Window) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d %d", w.SettledMS, w.AnnouncedMS), nil
}

// UnmarshalText reads what MarshalText wrote.
func (w *Window) UnmarshalText(text []byte) error {
	settled, announced, _ := strings.Cut(string(text), " ")
	s, err := strconv.ParseInt(settled, 10, 64)
	a, e := strconv.ParseInt(announced, 10, 64)
	if err != nil || e != nil || s < 0 || a < max(s, 1) {
		return fmt.Errorf("%w: recorded window %q, want two numbers, the second above 0 and no less than the first", ErrMismatch, text)
	}
	w.SettledMS, w.AnnouncedMS = s, a
	return nil
}
