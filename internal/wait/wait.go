// Package wait has the waits of the library's loops. Each of them ends with its context.
package wait

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends.
func For(ctx context.Context, d time.Duration) { ForWake(ctx, d, nil) }

// ForWake waits for d, until ctx ends, or until wake has an element, which it takes.
func ForWake(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// Wake puts an element into c, unless c is full.
func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Elapsed is how long ago t was. Of the monotonic clock and the wall clock it takes the one
// that tells more, because only the wall clock goes on while a machine is suspended.
func Elapsed(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}
