package wait

import (
	"sync"
	"time"
)

// Alarm tells when a time has come, as exactly as the machine can. A time.Timer of a process that is idle comes up to 1 ms later, because the
// runtime waits for whole milliseconds. Until it is set first it uses nothing of the machine.
type Alarm struct {
	C <-chan struct{} // has an element once a time that Set was given has come, or somewhat before that

	mu     sync.Mutex
	kind   alarm // nil: not set yet
	begin  func() alarm
	closed bool
}

// alarm is how this machine tells the time.
type alarm interface {
	set(d time.Duration)
	close()
}

// NewAlarm returns an Alarm that is not set. Its owner closes it.
func NewAlarm() *Alarm {
	ring := make(chan struct{}, 1)
	return &Alarm{C: ring, begin: func() alarm {
		if kind := newAlarm(ring); kind != nil {
			return kind
		}
		return newTimerAlarm(ring)
	}}
}

// NewTimerAlarm is NewAlarm by a time.Timer: it goes by the clock of a bubble of testing/synctest, too.
func NewTimerAlarm() *Alarm {
	ring := make(chan struct{}, 1)
	return &Alarm{C: ring, begin: func() alarm { return newTimerAlarm(ring) }}
}

// Set has C have an element in d, in place of what was set before. Any number of goroutines may call it. After Close it does nothing.
func (a *Alarm) Set(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if a.kind == nil {
		a.kind = a.begin()
	}
	a.kind.set(max(d, 1))
}

// Close ends the Alarm, and returns after all that it has started has ended.
func (a *Alarm) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kind != nil && !a.closed {
		a.kind.close()
	}
	a.closed = true
}

// timerAlarm is the alarm of the runtime.
type timerAlarm struct{ timer *time.Timer }

func newTimerAlarm(ring chan<- struct{}) timerAlarm {
	return timerAlarm{time.AfterFunc(1<<62, func() { Wake(ring) })}
}

func (t timerAlarm) set(d time.Duration) { t.timer.Reset(d) }

func (t timerAlarm) close() { t.timer.Stop() }
