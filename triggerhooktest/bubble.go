package triggerhooktest

import (
	"testing/synctest"
	"time"
)

// inBubble reports whether this goroutine is in a bubble of testing/synctest, which alone may call Wait.
func inBubble() (is bool) {
	defer func() { is = recover() == nil }()
	synctest.Wait()
	return true
}

// bubbleClock is the fake clock of a bubble. Time passes in it by sleeping.
type bubbleClock struct{}

func (bubbleClock) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// moveTo sleeps until t, and until all else that the bubble does then has been done.
func (bubbleClock) moveTo(t time.Time) {
	if d := time.Until(t); d > 0 {
		timer := time.NewTimer(d)
		<-timer.C
	}
	synctest.Wait()
}
