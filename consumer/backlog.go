package consumer

import (
	"sync"
	"time"
)

// backlogState is what claims tell of the backlog: of the tasks that are due and wait to be delivered.
type backlogState int

const (
	noBacklog backlogState = iota // the last claims have left nothing behind that is due
	growing                       // claims leave some behind: it is a burst for the first burstFor
	starved                       // claims leave some behind and get nothing: it is no burst
)

// backlogTracker knows whether there is a backlog, and whether it is a burst, in which confirms yield to deliveries (burstFor).
// The claimer tells it what claims leave behind.
type backlogTracker struct {
	mu    sync.Mutex
	state backlogState
	since time.Time // when the backlog began
}

// grow notes that a claim has left tasks behind that are due.
func (b *backlogTracker) grow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == noBacklog {
		b.state, b.since = growing, time.Now()
	}
}

// end notes that the last claims have left nothing behind that is due, and reports whether that ends a backlog.
func (b *backlogTracker) end() (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ended = b.state != noBacklog
	b.state = noBacklog
	return ended
}

// starve notes that claims get nothing though tasks are due, and reports whether that may end a burst.
func (b *backlogTracker) starve() (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != growing {
		return false
	}
	b.state = starved
	return true
}

// burst reports whether there is a backlog that is younger than burstFor and from which claims get tasks.
func (b *backlogTracker) burst() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == growing && time.Since(b.since) < burstFor
}

// exists reports whether there is a backlog.
func (b *backlogTracker) exists() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state != noBacklog
}
