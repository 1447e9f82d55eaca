package retry

import (
	"sync"
	"time"
)

// InFlight notes when the calls began that are under way, also those that go on after their
// callers have left.
type InFlight struct {
	mu   sync.Mutex
	next int
	at   map[int]time.Time
}

// Begin notes the beginning of a call, and returns a function that notes its end.
func (f *InFlight) Begin() (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = map[int]time.Time{}
	}
	n := f.next
	f.next++
	f.at[n] = time.Now()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.at, n)
	}
}

// BegunBy returns how many of the calls under way had begun by then.
func (f *InFlight) BegunBy(then time.Time) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.at {
		if !at.After(then) {
			n++
		}
	}
	return n
}
