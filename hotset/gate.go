package hotset

import (
	"context"
	"slices"
	"sync"
)

// gate bounds how many calls of a Set are under way at once, to as many as its client has
// connections. So no call fails because a hard limit of the pool is reached
// (MaxActiveConns), and a server that hangs leaves no more goroutines behind than that,
// though go-redis goes on waiting after the context of a call has ended.
//
// A call that keeps what workers hold, or brings work, goes before the many calls of
// creators and readers (urgent): 64 creators on two connections cost no lease.
//
// Invariants: free is at least 0, and above 0 only if no call waits; a call that has
// entered leaves exactly once.
type gate struct {
	mu     sync.Mutex
	free   int
	urgent []chan struct{} // calls that wait, in their order
	others []chan struct{}
}

// newGate returns a gate of so many places; nil, which bounds nothing, if that is 0.
func newGate(places int) *gate {
	if places <= 0 {
		return nil
	}
	return &gate{free: places}
}

// enter waits for a place, or for the end of ctx, whose error it returns then.
func (g *gate) enter(ctx context.Context, urgent bool) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	if urgent {
		g.urgent = append(g.urgent, turn)
	} else {
		g.others = append(g.others, turn)
	}
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		g.forgo(turn)
		return ctx.Err()
	}
}

// forgo ends a wait. A place that was given to it meanwhile goes to the next one.
func (g *gate) forgo(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, line := range []*[]chan struct{}{&g.urgent, &g.others} {
		if i := slices.Index(*line, turn); i >= 0 {
			*line = slices.Delete(*line, i, i+1)
			return
		}
	}
	g.next()
}

// leave gives a place back.
func (g *gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next()
}

// next gives a place to the call that is first in line. Under mu.
func (g *gate) next() {
	for _, line := range []*[]chan struct{}{&g.urgent, &g.others} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = (*line)[1:]
			return
		}
	}
	g.free++
}

// crowd are the verbs of creators and readers, of whom there may be any number.
var crowd = map[string]bool{"add": true, "clock": true, "find": true, "leases": true}

// await returns what f does, or ctx.Err() as soon as ctx ends: a go-redis client
// heeds the end of a context while it waits for an answer only if it was told to,
// and then its own timeout and retries may take many seconds, or for ever. f goes on, in
// the place that it has in the gate, so it keeps nothing of its caller's.
func await[T any](ctx context.Context, g *gate, urgent bool, f func() (T, error)) (T, error) {
	var none T
	if err := g.enter(ctx, urgent); err != nil {
		return none, err
	}
	type reply struct {
		v   T
		err error
	}
	done := make(chan reply, 1)
	go func() {
		defer g.leave()
		v, err := f()
		done <- reply{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
