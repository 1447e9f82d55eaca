package wait

import (
	"sync"
	"time"
)

// Alarm waits for a time as exactly as the machine can. A time.Timer of a process that is idle comes up to 1 ms later, because the
// runtime waits for whole milliseconds. Until it is set first it uses nothing of the machine.
type Alarm struct {
	mu    sync.Mutex
	kind  alarm // nil: not set yet
	begin func() alarm
	begun chan struct{} // closed once kind is there, or Close was called
	ended bool          // Close was called
}

// alarm is how this machine waits for the time.
type alarm interface {
	set(d time.Duration)
	wait() bool // false once it is closed
	close()
}

// NewAlarm returns an Alarm that is not set. Its owner closes it.
func NewAlarm() *Alarm { return &Alarm{begin: newAlarm, begun: make(chan struct{})} }

// NewTimerAlarm is NewAlarm by a time.Timer: it goes by the clock of a bubble of testing/synctest, too.
func NewTimerAlarm() *Alarm { return &Alarm{begin: newTimerAlarm, begun: make(chan struct{})} }

// Set has Wait return in d, in place of what was set before. Any number of goroutines may call it. After Close it does nothing.
func (a *Alarm) Set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	if a.kind == nil {
		a.kind = a.begin()
		close(a.begun)
	}
	a.kind.set(max(d, 1))
}

// Wait waits until a time that Set was given has come. It may return before that, so its caller looks at the clock. It returns false once Close was
// called. One goroutine calls it.
func (a *Alarm) Wait() bool {
	<-a.begun
	a.mu.Lock()
	kind := a.kind
	a.mu.Unlock()
	return kind != nil && kind.wait()
}

// Close ends the Alarm, and Wait.
func (a *Alarm) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.ended:
		return
	case a.kind == nil:
		close(a.begun)
	default:
		a.kind.close()
	}
	a.ended = true
}

// timerAlarm is the alarm of the runtime.
type timerAlarm struct {
	timer *time.Timer
	ended chan struct{}
}

func newTimerAlarm() alarm { return timerAlarm{time.NewTimer(1 << 62), make(chan struct{})} }

func (t timerAlarm) set(d time.Duration) { t.timer.Reset(d) }

func (t timerAlarm) wait() bool {
	select {
	case <-t.timer.C:
		return true
	case <-t.ended:
		return false
	}
}

func (t timerAlarm) close() {
	t.timer.Stop()
	close(t.ended)
}
