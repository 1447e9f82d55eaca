package consumer

import (
	"sync"
	"time"
)

// backlogState is what claims tell of tasks that are due and wait to be delivered.
type backlogState int

const (
	noBacklog    backlogState = iota // a claim has left nothing behind that is due
	burstBacklog                     // claims leave some behind: confirms yield to deliveries for burstFor
	longBacklog                      // claims leave some behind and get nothing: confirms do not yield
)

// backlog is the state of the tasks that are due and wait.
type backlog struct {
	mu    sync.Mutex
	state backlogState
	since time.Time // when the state was noBacklog last
}

// grow notes that a claim has left tasks behind that are due.
func (b *backlog) grow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == noBacklog {
		b.state, b.since = burstBacklog, time.Now()
	}
}

// end notes that no claim has left any behind, and reports whether that was so before.
func (b *backlog) end() (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ended = b.state != noBacklog
	b.state = noBacklog
	return ended
}

// starve notes that claims get nothing though tasks are due, and reports whether that ends a
// burst.
func (b *backlog) starve() (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != burstBacklog {
		return false
	}
	b.state = longBacklog
	return true
}

// burst reports whether confirms are to yield: tasks that are due wait, and have not done so
// for burstFor.
func (b *backlog) burst() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == burstBacklog && time.Since(b.since) < burstFor
}

// exists reports whether tasks that are due wait.
func (b *backlog) exists() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state != noBacklog
}
