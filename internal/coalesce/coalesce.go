// Package coalesce lets many waiting calls share one statement.
//
// A flight is one flush under way. If there is no flight, and no further call is
// expected, a call is flushed at once and alone: a single caller pays nothing for
// grouping. Calls that come while a flight is under way wait, and share the next flight. So
// groups grow with the load.
//
// The number of flights decides the cost. Each flight has a price of its own (a commit, a
// script) that is the same for one item and for a hundred. A flight that takes off early
// leaves fewer items for the flight before it. Protocol:
//
//  1. The calls that wait take off if no flight is under way that may land soon, or if
//     they weigh at least Worth. There are never more than Parallel flights.
//  2. A flight may land soon for as long as Patience after it took off. After that no
//     call waits for it. So a flight that hangs costs the calls that wait Patience once, and
//     not its whole timeout; and flights to a far server overlap.
//  3. The Group checks rule 1 when a call comes, when a flight lands, and, if calls wait,
//     Patience after the last flight took off, or when the wait of rule 5 or 8 is over. So no call
//     waits for something that never happens, unless Parallel flights hang. Calls take off
//     in the order in which they came.
//  4. A flight that lands hands out its answers, and lets their callers run before the
//     next flight takes off. A caller that calls again at once shares that flight. Otherwise
//     callers in a loop would split into two groups that take turns.
//  5. Callers that need a moment between two calls (for another store, say) would split
//     all the same. So when the last flight lands, and the calls that wait weigh less than
//     Worth, the Group waits for as many calls as the flight has answered. It expects them to
//     take as long as they took lately. It waits for at most twice that, and no longer than the
//     flight took. If it expects them later than that, it does not wait.
//  6. Calls that have no hurry may yield to other work (Yields). While they yield, a flight
//     takes off once each Patience, or once each five times as long as the last flight took, if
//     that is longer: the server is busy then, perhaps with other processes. A flight
//     also takes off if the calls weigh at least Worth. Once they do not yield any more they take
//     off at once; Ask tells the Group to check that.
//  7. Calls that no caller waits for may linger (Lingers), so that more of them share a flight. A flight takes off Linger after the
//     first call that waits came, or LingerFew after it while the calls weigh less than Few; or at once if they fill it. So what a crash of
//     this process loses is what comes in Linger, or about Few if that is more. The first call lingers if the call before it came less
//     than LingerFew earlier: then another one will probably come. So a call that comes alone does not linger, and each lingers for LingerFew
//     at most. While they do not linger (Lingers) rule 1 holds; Ask tells the Group to check that, too.
//  8. Callers that come on their own, as requests do, and do not come back soon, would have a flight for every two or three of them, for that
//     many come while one is under way. So after a flight that answered several such callers the next takes off Spacing after it did at the
//     soonest, unless calls that weigh Worth wait, or as many have come since it landed as it answered: those callers may be in a loop. A caller
//     waits no longer than Spacing for that. One that is alone does not wait. Beside a flight that is under way rule 2 holds.
//
// Goroutines and timers exist only while there is work, so a Group needs no Close.
package coalesce

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/stack"
)

// For how long calls linger by rule 7. At 1,000 calls a second there are 50 flights a second in place of hundreds, at 100 a second 10.
const (
	Linger    = 20 * time.Millisecond  // how long a call waits for others that share its flight
	LingerFew = 100 * time.Millisecond // the same while the calls that wait weigh less than Few
	Few       = 20
)

// Result is the answer of a flush for one item.
type Result[R any] struct {
	Value R     // the answer, if Err is nil
	Err   error // why there is none
}

// Group gathers items of type T and answers each with an R. The fields are set
// before the first call and not changed after it.
type Group[T, R any] struct {
	// Max is the greatest number of items of one flush; 0 means 1000.
	Max int
	// MaxWeight bounds the sum of Weigh over the items of one flush; an item
	// that is heavier goes alone. Not used if Weigh is nil: each weighs 1 then.
	MaxWeight int
	Weigh     func(T) int // returns the weight of an item
	// Parallel is how many flushes may be in flight; 0 means 1.
	Parallel int
	// Worth is what items must weigh together to fly beside a flight that may land
	// soon; 0 means that any do.
	Worth int
	// Patience is how long after its take-off a flight may land soon.
	Patience time.Duration
	// Spacing is how long after the take-off of a flight for several callers the next one takes off at the soonest, unless
	// they come back soon (rule 8). It needs Worth, and means nothing where calls yield.
	Spacing time.Duration
	// Yields, if it is set, reports whether to yield to other work now (rule 6). It is
	// called under a lock, and must not block.
	Yields func() bool
	// Lingers, if it is set, reports whether calls linger now (rule 7). It is called under a lock, and must not block.
	Lingers func() bool
	// Flush answers for each item, in order. It owns its own deadline: no
	// caller's context reaches it, because other callers share the flush.
	Flush func(items []T) []Result[R]

	mu       sync.Mutex
	pending  []call[T, R]
	weight   int           // of pending
	flights  []*flight     // those under way, in the order in which they took off
	off      time.Time     // when one took off last
	took     time.Duration // from take-off to landing, of the one that landed last
	boarding int           // how many of the flights are about to take pending calls
	timer    *time.Timer
	checkAt  time.Time // when the timer checks rule 1; zero: the timer is not set

	// Of rule 7.
	came    time.Time // when the last call came
	first   time.Time // when the first call that waits came
	follows bool      // it came less than LingerFew after the one before

	// Of rule 5.
	landed   time.Time     // when the last flight landed
	expected int           // how many calls it answered, less the calls that have come since
	back     time.Duration // how long it took lately until all expected calls had come; 0: not known
	hold     time.Time     // until when pending calls wait for the expected ones
	rest     time.Time     // until when they do not take off, by rule 8
}

// flight is one flush under way, or about to be.
type flight struct{ began time.Time }

type call[T, R any] struct {
	item   T
	weight int
	done   chan Result[R] // nil: no caller waits
}

// Go hands item over and returns where its answer will be: exactly one result,
// in a channel that holds it until it is read. It never blocks.
func (g *Group[T, R]) Go(item T) <-chan Result[R] {
	done := make(chan Result[R], 1)
	g.add(item, done)
	return done
}

// Post is Go for callers that learn from Flush itself what became of item.
func (g *Group[T, R]) Post(item T) { g.add(item, nil) }

// Ask checks rule 1 now, because the answer of Yields or Lingers has changed.
func (g *Group[T, R]) Ask() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.launch()
}

func (g *Group[T, R]) add(item T, done chan Result[R]) {
	c := call[T, R]{item, 1, done}
	if g.Weigh != nil {
		c.weight = g.Weigh(item)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Lingers != nil {
		g.noteComing(time.Now())
	}
	g.pending = append(g.pending, c)
	g.weight += c.weight
	g.count()
	g.launch()
}

// noteComing notes when a call comes (rule 7). Under mu.
func (g *Group[T, R]) noteComing(now time.Time) {
	if len(g.pending) == 0 {
		g.first, g.follows = now, now.Sub(g.came) < LingerFew
	}
	g.came = now
}

// lingers reports whether calls of that weight linger (rule 7). Under mu.
func (g *Group[T, R]) lingers(weight int, now time.Time) bool {
	return g.follows && weight < g.most() && now.Before(g.lingerEnd(weight)) && g.Lingers()
}

// lingerEnd is until when calls of that weight linger (rule 7). Under mu.
func (g *Group[T, R]) lingerEnd(weight int) time.Time {
	if weight < Few {
		return g.first.Add(LingerFew)
	}
	return g.first.Add(Linger)
}

// count counts a call as one of the expected ones (rule 5). Under mu.
func (g *Group[T, R]) count() {
	if g.expected == 0 {
		return
	}
	if g.expected--; g.expected > 0 {
		return
	}
	now := time.Now()
	g.noteBack(now)
	if now.Before(g.hold) {
		g.hold = now
	}
	if now.Before(g.rest) {
		g.rest = now
	}
}

// noteBack notes how long the expected calls took. Of one that takes very long it is enough to know that. Under mu.
func (g *Group[T, R]) noteBack(now time.Time) {
	g.back = (g.back + min(now.Sub(g.landed), 4*g.took)) / 2
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

// launch checks rule 1 for the calls that no boarding flight takes. If no flight takes off it
// sets the timer that checks again. Under mu.
func (g *Group[T, R]) launch() {
	left := g.weight - g.boarding*g.most()
	if len(g.pending) == 0 || left <= 0 || len(g.flights) >= max(g.Parallel, 1) {
		return // a flight checks, when it has taken its calls, or lands
	}
	now := time.Now()
	if g.ready(left, now) {
		f := &flight{now}
		g.flights = append(g.flights, f)
		g.boarding++
		go g.fly(f)
		return
	}
	at := g.hold
	if g.rest.After(at) {
		at = g.rest
	}
	if g.lingers(left, now) {
		at = g.lingerEnd(left)
	} else if g.Yields != nil {
		at = g.off.Add(g.pace())
	} else if len(g.flights) > 0 {
		at = g.last().Add(g.Patience)
	}
	if g.checkAt.IsZero() || at.Before(g.checkAt) {
		g.setTimer(at, now)
	}
}

// setTimer has rule 1 checked at that time. Under mu.
func (g *Group[T, R]) setTimer(at, now time.Time) {
	g.checkAt = at
	if g.timer != nil {
		g.timer.Reset(at.Sub(now))
		return
	}
	g.timer = time.AfterFunc(at.Sub(now), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.checkAt = time.Time{}
		g.launch()
	})
}

// ready reports whether calls of that weight take off now, by rules 1 and 5 to 8. Under mu.
func (g *Group[T, R]) ready(weight int, now time.Time) bool {
	switch {
	case g.lingers(weight, now):
		return false
	case weight >= g.Worth:
		return true
	case g.Yields != nil:
		return !g.Yields() || now.Sub(g.off) >= g.pace()
	case len(g.flights) > 0:
		return now.Sub(g.last()) >= g.Patience
	default:
		return !now.Before(g.hold) && !now.Before(g.rest)
	}
}

// pace is how often calls that yield take off (rule 6). Under mu.
func (g *Group[T, R]) pace() time.Duration { return max(g.Patience, 5*g.took) }

// land notes that f is about to answer that many callers, and to board again.
func (g *Group[T, R]) land(f *flight, callers int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.boarding++
	now := time.Now()
	took := now.Sub(f.began)
	if callers > 0 && g.expected > 0 { // they have not come by now
		before := g.back
		g.noteBack(now)
		g.back = max(g.back, before)
	}
	g.took = took
	if callers == 0 {
		return
	}
	g.landed, g.expected, g.hold = now, callers, now
	if 0 < g.back && g.back < took {
		g.hold = now.Add(min(2*g.back, took))
	} else if rest := f.began.Add(g.Spacing); callers > 1 && rest.After(g.rest) {
		g.rest = rest
	}
}

// last is when the last of those under way took off. Under mu.
func (g *Group[T, R]) last() time.Time { return g.flights[len(g.flights)-1].began }

// fly flushes for as long as rule 1 lets it.
func (g *Group[T, R]) fly(f *flight) {
	stack.Grow()
	for {
		runtime.Gosched() // rule 4
		calls := g.board(f)
		if len(calls) == 0 {
			return
		}
		items, callers := make([]T, len(calls)), 0
		for i, c := range calls {
			if items[i] = c.item; c.done != nil {
				callers++
			}
		}
		results := g.flush(items)
		g.land(f, callers)
		for i, r := range results {
			if calls[i].done != nil {
				calls[i].done <- r
			}
		}
		clear(calls) // otherwise the array of pending would keep what was answered
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

// board returns the calls that f takes off with, oldest first; none if it does not.
func (g *Group[T, R]) board(f *flight) []call[T, R] {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.boarding--
	i := slices.Index(g.flights, f)
	g.flights = slices.Delete(g.flights, i, i+1)
	defer g.launch()
	if len(g.pending) == 0 {
		g.pending = nil // and with it what it has grown to
		return nil
	}
	if !g.ready(g.weight, now) {
		return nil
	}
	f.began, g.off = now, now
	g.flights = append(g.flights, f)
	return g.take()
}

// take takes the calls of one flight. Under mu.
func (g *Group[T, R]) take() []call[T, R] {
	n, weight := 0, 0
	for n < min(len(g.pending), g.max()) {
		w := g.pending[n].weight
		if n > 0 && weight+w > g.most() {
			break
		}
		n, weight = n+1, weight+w
	}
	calls := g.pending[:n:n]
	g.pending, g.weight = g.pending[n:], g.weight-weight
	return calls
}

// max is how many items a flight takes, most what they weigh.
func (g *Group[T, R]) max() int {
	if g.Max <= 0 {
		return 1000
	}
	return g.Max
}

func (g *Group[T, R]) most() int {
	if g.Weigh == nil {
		return g.max()
	}
	return g.MaxWeight
}
