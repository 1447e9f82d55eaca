package consumer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// backoff calls then with the delay after a failed attempt: what Options.Backoff answers,
// which is the caller's code. If that panics, ends its goroutine, or answers what is not
// positive, the default delay is used; MaxBackoff bounds both. Each such answer is reported.
func (c *Consumer) backoff(attempt int, then func(time.Duration)) {
	delay, err := min(defaultBackoff(attempt), c.o.MaxBackoff), error(nil)
	if c.o.Backoff == nil {
		then(delay)
		return
	}
	const next = "the default delay is used"
	err = errors.New("it ended its goroutine (runtime.Goexit)") // unless it returns
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			err = fmt.Errorf("%w: Options.Backoff, attempt %d: %w", task.ErrInvalid, attempt, err)
		}
		c.o.Report.Error("ask for a delay", err, next)
		then(delay)
	}()
	switch d := c.o.Backoff(attempt); {
	case d <= 0:
		err = fmt.Errorf("it answered %s, and a delay is positive", d)
	case d > c.o.MaxBackoff:
		err, delay = fmt.Errorf("it answered %s, and Options.MaxBackoff is %s", d, c.o.MaxBackoff), c.o.MaxBackoff
	default:
		err, delay = nil, d
	}
}

// defaultBackoff is 1 s doubled an attempt, 20 % more or less, at most 1 h.
func defaultBackoff(attempt int) time.Duration {
	d := float64(time.Second << min(max(attempt-1, 0), 13))
	return min(time.Hour, time.Duration(d*(0.8+0.4*rand.Float64())))
}
