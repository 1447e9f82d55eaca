package task

import (
	"fmt"
	"strconv"
	"strings"
)

// Window is how far beyond the hot set's time the horizon may be, in milliseconds, as the processes
// of a namespace have recorded it. EffectiveMS and AnnouncedMS never fall. The zero Window means that
// none is recorded.
type Window struct {
	EffectiveMS int64 // no feeder raises a horizon further; 0: none has begun yet
	AnnouncedMS int64 // what EffectiveMS is to be; at least that
	WaitedMS    int64 // how long at least AnnouncedMS has been recorded; 0 if it is effective
}

// MarshalText returns the values, for a store; WaitedMS only if it is not 0.
func (w Window) MarshalText() ([]byte, error) {
	text := fmt.Appendf(nil, "%d %d", w.EffectiveMS, w.AnnouncedMS)
	if w.WaitedMS != 0 {
		text = fmt.Appendf(text, " %d", w.WaitedMS)
	}
	return text, nil
}

// UnmarshalText reads what MarshalText wrote.
func (w *Window) UnmarshalText(text []byte) error {
	var n [3]int64
	fields := strings.Split(string(text), " ")
	ok := len(fields) == 2 || len(fields) == 3
	for i := 0; ok && i < len(fields); i++ {
		v, err := strconv.ParseInt(fields[i], 10, 64)
		n[i], ok = v, err == nil && v >= 0
	}
	if !ok || n[1] < max(n[0], 1) {
		return fmt.Errorf("%w: recorded window %q, want two or three numbers, the second above 0 and no less than the first", ErrMismatch, text)
	}
	w.EffectiveMS, w.AnnouncedMS, w.WaitedMS = n[0], n[1], n[2]
	return nil
}
