package task

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// RecordPause is the name of a record: a Pause.
const RecordPause = "pause"

// Pause is what a namespace records about Scheduler.Pause and Scheduler.Resume. The zero Pause means that neither was
// ever called. A Pause replaces every one with a lower Seq, in whatever order processes and partitions hear of them.
type Pause struct {
	Seq int64 // grows with each call
	// UntilMS is when claims give tasks again, by the hot set's clock: MaxDue if only Resume ends the pause, 0 after Resume.
	UntilMS   int64
	SinceMS   int64 // when the pause began, unix milliseconds
	Producers bool  // nothing is created either
}

// At reports whether p is in effect at a time of the hot set's clock.
func (p Pause) At(t time.Time) bool { return t.UnixMilli() < p.UntilMS }

// Newest returns the one of p and q that replaces the other.
func (p Pause) Newest(q Pause) Pause {
	if q.Seq > p.Seq {
		return q
	}
	return p
}

// MarshalText returns all of p, for a store.
func (p Pause) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d %d %d %t", p.Seq, p.UntilMS, p.SinceMS, p.Producers), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *Pause) UnmarshalText(text []byte) error {
	fields := strings.Split(string(text), " ")
	if len(fields) != 4 || fields[3] != "true" && fields[3] != "false" {
		return fmt.Errorf("%w: recorded pause %q, want three numbers and true or false", ErrMismatch, text)
	}
	for i, to := range []*int64{&p.Seq, &p.UntilMS, &p.SinceMS} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil || n < 0 || n > MaxDue {
			return fmt.Errorf("%w: recorded pause %q, want numbers from 0 to %d", ErrMismatch, text, MaxDue)
		}
		*to = n
	}
	p.Producers = fields[3] == "true"
	return nil
}

// Pause returns the recorded pause, the zero one if there is none.
func (r Records) Pause() (p Pause, err error) {
	if text := r.Values[RecordPause]; text != "" {
		err = p.UnmarshalText([]byte(text))
	}
	return p, err
}

// UntilMS returns until in unix milliseconds, rounded up; MaxDue for the zero time. The error matches ErrInvalid: until does not lie
// after now, or is out of the range of DueMS.
func UntilMS(until, now time.Time) (int64, error) {
	if until.IsZero() {
		return MaxDue, nil
	}
	ms, err := roundUp("until", until)
	if err == nil && !until.After(now) {
		err = fmt.Errorf("%w: until %s does not lie after now, %s", ErrInvalid, text(until), text(now))
	}
	return ms, err
}

// RateInterval returns the time from one task to the next at so many a second, at least a nanosecond and at most a year.
func RateInterval(rate float64) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(max(1, min(math.Ceil(float64(time.Second)/rate), float64(year))))
}
