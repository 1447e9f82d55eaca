package task

import (
	"fmt"
	"strconv"
	"strings"
)

// Lease is the longest lease of a namespace's workers in milliseconds, as they have recorded
// it. Neither value falls. The zero Lease means that none is recorded.
type Lease struct {
	EffectiveMS int64 // no worker has used a longer one
	AnnouncedMS int64 // what EffectiveMS is to be; at least that
}

// MarshalText returns the values, for a store; one number if they are the same.
func (l Lease) MarshalText() ([]byte, error) {
	if l.EffectiveMS == l.AnnouncedMS {
		return fmt.Append(nil, l.EffectiveMS), nil
	}
	return fmt.Appendf(nil, "%d %d", l.EffectiveMS, l.AnnouncedMS), nil
}

// UnmarshalText reads what MarshalText wrote.
func (l *Lease) UnmarshalText(text []byte) error {
	effective, announced, two := strings.Cut(string(text), " ")
	if !two {
		announced = effective
	}
	e, err1 := strconv.ParseInt(effective, 10, 64)
	a, err2 := strconv.ParseInt(announced, 10, 64)
	if err1 != nil || err2 != nil || e < 1 || a < e {
		return fmt.Errorf("%w: recorded lease_ms %q, want one or two numbers above 0, the second no less than the first", ErrMismatch, text)
	}
	l.EffectiveMS, l.AnnouncedMS = e, a
	return nil
}
