package wait

import (
	"sync"
	"time"
)

// Alarm tells when a time has come, as exactly as the machine can. A time.Timer of a process that is idle comes up to 1 ms later, because the
// runtime waits for whole milliseconds.
type Alarm struct {
	C <-chan struct{} // has an element once a time that Set was given has come, or somewhat before that

	kind alarm
}

// alarm is how this machine tells the time.
type alarm interface {
	set(d time.Duration)
	close()
}

// NewAlarm returns an Alarm that is not set. Its owner closes it.
func NewAlarm() *Alarm {
	ring := make(chan struct{}, 1)
	if kind := newAlarm(ring); kind != nil {
		return &Alarm{C: ring, kind: kind}
	}
	return NewTimerAlarm()
}

// NewTimerAlarm is NewAlarm by a time.Timer: it goes by the clock of a bubble of testing/synctest, too.
func NewTimerAlarm() *Alarm {
	ring := make(chan struct{}, 1)
	return &Alarm{C: ring, kind: &timerAlarm{timer: time.AfterFunc(1<<62, func() { Wake(ring) })}}
}

// Set has C have an element in d, in place of what was set before. Any number of goroutines may call it, also after Close.
func (a *Alarm) Set(d time.Duration) { a.kind.set(max(d, 1)) }

// Close ends the Alarm, and returns after all that it has started has ended.
func (a *Alarm) Close() { a.kind.close() }

// timerAlarm is the alarm of the runtime.
type timerAlarm struct {
	mu    sync.Mutex
	timer *time.Timer // nil: closed
}

func (t *timerAlarm) set(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Reset(d)
	}
}

func (t *timerAlarm) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Stop()
	t.timer = nil
}
