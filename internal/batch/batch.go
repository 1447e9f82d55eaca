// Package batch turns many waiting calls into few statements.
//
// There is no timer: a call that finds fewer flushes in flight than Parallel is
// flushed at once and alone; calls that come while they fly gather, and the next
// flush takes them together. So grouping grows with the load, and one caller
// alone pays nothing for it.
//
// Goroutines exist only while there is work, so a Group needs no Close.
package batch

import (
	"context"
	"fmt"
	"sync"
)

// Result is what a flush answers for one item.
type Result[R any] struct {
	Value R
	Err   error
}

// Group gathers items of type T and answers each with an R. The fields are set
// before the first call and not changed after it.
type Group[T, R any] struct {
	// Max is the greatest number of items of one flush; 0 means 1000.
	Max int
	// MaxWeight bounds the sum of Weigh over the items of one flush; an item
	// that is heavier goes alone. Not used if Weigh is nil.
	MaxWeight int
	Weigh     func(T) int
	// Parallel is how many flushes may be in flight; 0 means 1.
	Parallel int
	// Flush answers for each item, in order. It owns its own deadline: no
	// caller's context reaches it, because other callers share the flush.
	Flush func(items []T) []Result[R]

	mu      sync.Mutex
	pending []call[T, R]
	flights int
}

type call[T, R any] struct {
	item T
	done chan Result[R] // nil: nobody waits
}

// Go hands item over and returns where its answer will be: exactly one result,
// in a channel that holds it until it is read. It never blocks.
func (g *Group[T, R]) Go(item T) <-chan Result[R] {
	c := call[T, R]{item, make(chan Result[R], 1)}
	g.add(c)
	return c.done
}

// Post is Go for callers that learn from Flush itself what became of item.
func (g *Group[T, R]) Post(item T) { g.add(call[T, R]{item: item}) }

func (g *Group[T, R]) add(c call[T, R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = append(g.pending, c)
	if g.flights < max(g.Parallel, 1) {
		g.flights++
		go g.fly()
	}
}

// Do hands item over and waits for its answer. If ctx ends first the error is
// ctx.Err() and the outcome is unknown: the flush goes on.
func (g *Group[T, R]) Do(ctx context.Context, item T) (R, error) {
	var none R
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case r := <-g.Go(item):
		return r.Value, r.Err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// fly flushes until nothing is pending.
func (g *Group[T, R]) fly() {
	for {
		calls := g.take()
		if len(calls) == 0 {
			return
		}
		items := make([]T, len(calls))
		for i, c := range calls {
			items[i] = c.item
		}
		for i, r := range g.flush(items) {
			if calls[i].done != nil {
				calls[i].done <- r
			}
		}
		clear(calls) // else pending's array would keep what was answered
	}
}

// flush answers every item, whatever Flush does.
func (g *Group[T, R]) flush(items []T) (res []Result[R]) {
	defer func() {
		p := recover()
		if p == nil && len(res) == len(items) {
			return
		}
		err := fmt.Errorf("flush of %d items answered %d", len(items), len(res))
		if p != nil {
			err = fmt.Errorf("flush of %d items: panic: %v", len(items), p)
		}
		res = make([]Result[R], len(items))
		for i := range res {
			res[i].Err = err
		}
	}()
	return g.Flush(items)
}

// take returns the calls of the next flush, oldest first, or ends this flight.
func (g *Group[T, R]) take() []call[T, R] {
	g.mu.Lock()
	defer g.mu.Unlock()
	most := g.Max
	if most <= 0 {
		most = 1000
	}
	n, weight := 0, 0
	for n < len(g.pending) && n < most {
		if g.Weigh != nil {
			weight += g.Weigh(g.pending[n].item)
			if n > 0 && weight > g.MaxWeight {
				break
			}
		}
		n++
	}
	calls := g.pending[:n:n]
	g.pending = g.pending[n:]
	if n == 0 {
		g.pending = nil
		g.flights--
	}
	return calls
}
