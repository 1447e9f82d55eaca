package hotset

import (
	"context"
	"slices"
	"sync"

	"github.com/triggerhook/triggerhook/internal/stack"
)

// gate bounds how many calls of a Set are under way at once, to as many as its client has
// connections. So no call fails because a hard limit of the pool is reached
// (MaxActiveConns). go-redis goes on waiting after the context of a call has ended, but a
// server that hangs holds up no more goroutines than there are connections.
//
// Urgent calls, which keep leases or bring work, go before the calls of creators and
// readers, which may be many: 64 creators on two connections cost no lease.
//
// Invariants: free is at least 0, and above 0 only if no call waits. A call that has
// entered leaves exactly once.
type gate struct {
	mu     sync.Mutex
	free   int
	urgent []chan struct{} // calls that wait, in their order
	others []chan struct{}
}

// newGate returns a gate with that many places. For 0 places it returns nil, which bounds nothing.
func newGate(places int) *gate {
	if places <= 0 {
		return nil
	}
	return &gate{free: places}
}

// enter waits for a place. If ctx ends before, enter returns its error.
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

// forgo ends a wait. If the call has been given a place meanwhile, that goes to the next call.
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

// crowd are the verbs of creators and readers. There may be any number of these calls, and they are not urgent.
var crowd = map[string]bool{"add": true, "clock": true, "find": true, "leases": true, "waiting": true, "workers": true}

// await returns what f returns, or ctx.Err() as soon as ctx ends. A go-redis client that waits
// for an answer ends with the context only if its options say so; otherwise its own timeouts and
// retries may take many seconds, or for ever. f goes on after the end of ctx, and keeps its place in
// the gate, so it must not use anything that belongs to its caller.
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
		stack.Grow()
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
