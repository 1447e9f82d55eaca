// Package consumer hands due tasks to callers: it claims them from the hot set
// into a short local queue, keeps their leases, and settles them.
//
// Purpose: never more in this process than its callers are about to take; never a
// delivery whose lease is known to be over; no answer lost that a caller gave.
//
// Who owns what:
//
//	claimer    moves members from the hot set into the queue, and gives back what
//	           has waited there too long
//	Consume    moves one from the queue into a caller's hands
//	settler    takes answers from callers: row first, hot set after it
//	keeper     extends leases, registers what is held with a new generation, ends
//	           deliveries that take too long; it stops last
//
// Invariants, under Consumer.mu: a held task is in its batch's members until it
// is settled, given back or lost; it is in the queue, or in one caller's hands, or
// being settled; a batch without members is not in batches, and its lease is
// nobody's concern.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// Set is what a consumer needs of the hot set.
type Set interface {
	Clock(ctx context.Context, p int) (task.AsOf, error)
	Add(ctx context.Context, p int, a task.Adding) ([]task.Answer, error)
	Remove(ctx context.Context, p int, token string, refs []task.Ref) ([]task.Answer, error)
	Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error)
	Extend(ctx context.Context, p int, h task.Held) (task.Extended, error)
	Release(ctx context.Context, p int, r task.Release) ([]task.Answer, error)
	Watch(ctx context.Context, wake chan<- struct{}) error
}

// Store is what a consumer needs of the durable store.
type Store interface {
	Get(ctx context.Context, ids []string) ([]task.Row, error)
	Delete(ctx context.Context, refs []task.Ref) ([]bool, error)
	Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error)
}

// Options of New. All are set: the scheduler has put its defaults in.
type Options struct {
	Partitions      int
	Queue           int           // most tasks that wait in this process
	Lease           time.Duration // of a batch
	Drain           time.Duration // how long Run waits for deliveries in hand
	DeliveryTimeout time.Duration // how long a caller may take
	Report          *report.Reporter
}

// Consumer hands out the tasks of one scheduler.
type Consumer struct {
	set     Set
	store   Store
	o       Options
	settler settler
	figures figures

	running chan struct{} // closed when Run begins
	closed  chan struct{} // closed when Run stops handing out
	nudge   chan struct{} // the claimer looks again

	mu      sync.Mutex
	stage   stage
	queue   []*held
	waiters []chan *held
	batches map[string]*batch
	inHand  int
	idle    chan struct{} // made by drain, closed when inHand is 0
	settled recent
	offset  time.Duration // hot-set clock minus local clock
}

type stage int

const (
	fresh stage = iota
	running
	draining
	closed
)

// held is a claimed task in this process.
type held struct {
	task.Entry
	batch    *batch
	since    time.Time // in the queue, then in hand
	delivery *Delivery // nil in the queue
	lost     bool      // no longer ours: settles against the row alone
}

// batch is a claimed batch: what is left of it.
type batch struct {
	p          int
	token      string
	generation int64
	deadline   time.Time // by the local clock; Redis ends it no earlier
	members    map[task.Ref]*held
	timer      *time.Timer
}

// New returns a Consumer. It does no I/O and starts nothing.
func New(set Set, store Store, o Options) *Consumer {
	c := &Consumer{set: set, store: store, o: o, running: make(chan struct{}), closed: make(chan struct{}),
		nudge: make(chan struct{}, 1), batches: map[string]*batch{}}
	c.settler.init(c)
	return c
}

// Run claims and hands out until ctx ends, and then drains: it gives back what
// waits, waits for what is in callers' hands, flushes their answers, and gives
// back the rest. It returns nil then, and at once task.ErrRunning or
// task.ErrClosed if it ran before.
func (c *Consumer) Run(ctx context.Context) error {
	c.mu.Lock()
	switch c.stage {
	case running, draining:
		c.mu.Unlock()
		return task.ErrRunning
	case closed:
		c.mu.Unlock()
		return task.ErrClosed
	}
	c.stage = running
	close(c.running)
	c.mu.Unlock()

	keep, stopKeeper := context.WithCancel(context.WithoutCancel(ctx))
	var agents, keeper sync.WaitGroup
	wake := make(chan struct{}, 1)
	keeper.Go(func() { c.keep(keep) })
	agents.Go(func() { c.watch(ctx, wake) })
	agents.Go(func() { c.claimLoop(ctx, wake) })
	agents.Wait()
	c.drain(context.WithoutCancel(ctx))
	stopKeeper()
	keeper.Wait()
	return nil
}

func (c *Consumer) watch(ctx context.Context, wake chan<- struct{}) {
	for ctx.Err() == nil {
		c.o.Report.Error("watch hot set", c.set.Watch(ctx, wake), "watch again in 1 s")
		pause(ctx, time.Second)
	}
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// warnAfter is how long Consume waits for Run before it says so.
const warnAfter = 5 * time.Second

// Consume waits for a task that is due and returns it. The error is ctx.Err(), or
// task.ErrClosed once Run has begun to drain.
func (c *Consumer) Consume(ctx context.Context) (*Delivery, error) {
	if err := c.awaitRun(ctx); err != nil {
		return nil, err
	}
	for {
		h, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		if d := c.hand(h); d != nil {
			return d, nil
		}
	}
}

func (c *Consumer) awaitRun(ctx context.Context) error {
	select {
	case <-c.running:
		return nil
	default:
	}
	warn := time.NewTimer(warnAfter)
	defer warn.Stop()
	for {
		select {
		case <-c.running:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-warn.C:
			c.o.Report.Error("consume", errors.New("Run was not called, so nothing is delivered"), "wait on")
		}
	}
}

// next takes the head of the queue, or waits in line for one.
func (c *Consumer) next(ctx context.Context) (*held, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.stage >= draining {
		c.mu.Unlock()
		return nil, fmt.Errorf("consume: %w", task.ErrClosed)
	}
	if len(c.queue) > 0 {
		h := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		return h, nil
	}
	w := make(chan *held, 1)
	c.waiters = append(c.waiters, w)
	c.mu.Unlock()
	c.look()
	select {
	case h := <-w:
		return h, nil
	case <-ctx.Done():
		return c.leave(w, ctx.Err())
	case <-c.closed:
		return c.leave(w, fmt.Errorf("consume: %w", task.ErrClosed))
	}
}

// leave ends a wait; if a task was handed over meanwhile, that wins.
func (c *Consumer) leave(w chan *held, err error) (*held, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.waiters {
		if other == w {
			c.waiters = append(c.waiters[:i], c.waiters[i+1:]...)
			return nil, err
		}
	}
	return <-w, nil
}

// look makes the claimer look at what is wanted.
func (c *Consumer) look() {
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}

// hand makes h a delivery, or returns nil if it is no longer ours.
func (c *Consumer) hand(h *held) *Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.lost || !time.Now().Before(h.batch.deadline) {
		return nil
	}
	h.since = time.Now()
	h.delivery = newDelivery(c, h)
	c.inHand++
	c.figures.delivered(h.Attempt, time.Now().Add(c.offset).Sub(time.UnixMilli(h.DueMS)))
	return h.delivery
}

// enqueue hands h to who waits longest, or queues it. Under mu.
func (c *Consumer) enqueue(h *held) {
	if len(c.waiters) > 0 {
		w := c.waiters[0]
		c.waiters = c.waiters[1:]
		w <- h
		return
	}
	h.since = time.Now()
	c.queue = append(c.queue, h)
}

// forget takes h out of its batch and out of a caller's count. Under mu.
func (c *Consumer) forget(h *held) {
	if h.lost {
		return
	}
	h.lost = true
	b := h.batch
	delete(b.members, h.Ref)
	if len(b.members) == 0 {
		b.timer.Stop()
		delete(c.batches, b.token)
	}
}

// answered notes that a delivery is in nobody's hands any more. Under mu.
func (c *Consumer) answered() {
	c.inHand--
	if c.inHand == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// drain ends what Run began, but for the keeper.
func (c *Consumer) drain(ctx context.Context) {
	c.mu.Lock()
	c.stage = draining
	close(c.closed)
	idle := make(chan struct{})
	if c.inHand == 0 {
		close(idle)
	} else {
		c.idle = idle
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.o.Drain)
	defer cancel()
	c.giveBack(ctx, func(h *held) bool { return h.delivery == nil })
	select {
	case <-idle:
	case <-ctx.Done():
	}
	c.settler.stop()
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancelLast()
	c.giveBack(last, func(h *held) bool { return h.delivery == nil || !h.delivery.settled.Load() })
	c.mu.Lock()
	c.stage = closed
	c.mu.Unlock()
}

// giveBack returns what is held to the hot set, uncounted; in callers' hands its
// context ends.
func (c *Consumer) giveBack(ctx context.Context, which func(*held) bool) {
	byBatch := map[*batch][]task.Ref{}
	c.mu.Lock()
	for _, b := range c.batches {
		for _, h := range b.members {
			if !which(h) {
				continue
			}
			byBatch[b] = append(byBatch[b], h.Ref)
			if h.delivery != nil {
				h.delivery.cancel(task.ErrClosed)
			}
			c.forget(h)
		}
	}
	kept := c.queue[:0]
	for _, h := range c.queue {
		if !h.lost {
			kept = append(kept, h)
		}
	}
	c.queue = kept
	c.mu.Unlock()
	for b, refs := range byBatch {
		_, err := c.set.Release(ctx, b.p, task.Release{Token: b.token, Refs: refs, AtDue: true})
		c.o.Report.Error("give tasks back", err, "their lease ends by itself", "tasks", len(refs))
	}
}
