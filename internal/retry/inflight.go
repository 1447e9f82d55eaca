package retry

import (
	"sync"
	"time"
)

// InFlight notes when the calls began that are under way, also those that go on after their
// callers have left.
type InFlight struct {
	mu    sync.Mutex
	next  int
	calls map[int]inFlight
	sum   int // of their n
}

type inFlight struct {
	at time.Time
	n  int
}

// Begin notes the beginning of n calls, and returns a function that notes their end.
func (f *InFlight) Begin(n int) (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = map[int]inFlight{}
	}
	key := f.next
	f.next++
	f.calls[key] = inFlight{time.Now(), n}
	f.sum += n
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sum -= n
		delete(f.calls, key)
	}
}

// BegunBy returns how many of the calls under way had begun by then.
func (f *InFlight) BegunBy(then time.Time) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if !c.at.After(then) {
			n += c.n
		}
	}
	return n
}

// Sum returns how many calls are under way.
func (f *InFlight) Sum() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum
}
