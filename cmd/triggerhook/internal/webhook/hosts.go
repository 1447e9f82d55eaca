package webhook

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/sony/gobreaker/v2"
)

// hosts has the hosts that are in use, and those that were used last. A host that is in use is never forgotten, so its limit holds; of the
// others at most Options.MaxHosts are remembered, so what is kept is bounded however many hosts tasks name.
type hosts struct {
	o      Options
	opened func()

	mu     sync.Mutex
	active map[string]*host // users > 0
	idle   *simplelru.LRU[string, *host]
}

// newHosts returns a hosts that calls opened when a circuit opens.
func newHosts(o Options, opened func()) (*hosts, error) {
	idle, err := simplelru.NewLRU[string, *host](o.MaxHosts, nil)
	return &hosts{o: o, opened: opened, active: map[string]*host{}, idle: idle}, err
}

// take returns the host of an origin, which is in use until give.
func (s *hosts) take(origin string) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.active[origin]
	if h == nil {
		if h, _ = s.idle.Peek(origin); h == nil {
			h = newHost(origin, s.o, s.opened)
		}
		s.idle.Remove(origin)
		s.active[origin] = h
	}
	h.users++
	return h
}

// give ends the use of h by one caller of take.
func (s *hosts) give(h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(s.active, h.origin)
		s.idle.Add(h.origin, h)
	}
}

// count returns how many hosts are known, how many of their circuits are open or half open, and how many requests run.
func (s *hosts) count() (known, open, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add := func(h *host) {
		known++
		running += len(h.slots)
		if h.breaker.State() != gobreaker.StateClosed {
			open++
		}
	}
	for _, h := range s.active {
		add(h)
	}
	for _, h := range s.idle.Values() {
		add(h)
	}
	return known, open, running
}
