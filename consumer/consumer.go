// Package consumer hands due tasks to callers: it claims them from the hot set
// into a short local queue, keeps their leases, and settles them in both stores.
//
// Purpose: never more in this process than its callers are about to take; never a
// delivery whose lease is known to have expired; no settlement of a caller is lost.
//
// Who owns what:
//
//	claimer    moves members from the hot set into the queue, and gives back what
//	           has waited there too long
//	Consume    moves one from the queue into a caller's hands
//	settler    brings what callers settle into both stores: row first, hot set after it
//	keeper     extends leases, registers what is left of its batches with a new generation,
//	           ends deliveries that take too long; it stops last
//
// Invariants, under Consumer.mu: a delivery is in its batch until its settlement is complete, it is
// given back, its lease is lost, or its row is gone (life); it is in the queue or in future, or in one
// caller's hands, or being settled; a batch that all its members have left is not in batches, and its
// lease is extended no more.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/task"
)

// Set is what a consumer needs of the hot set. hotset.Set has the contract of each method; here
// Remove retries in the background what it returned an error for, until it succeeds
// (internal/removal).
type Set interface {
	// Clock returns a recent moment of a partition.
	Clock(ctx context.Context, p int) (task.AsOf, error)
	// Add registers claimed members with a new generation, or takes moved rows in.
	Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error)
	// Remove removes members whose rows are deleted or moved.
	Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error)
	// RemoveHeld does so for members of several batches.
	RemoveHeld(ctx context.Context, p int, held []task.Held) error
	// Claim takes due members under one lease.
	Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error)
	// Extend renews leases.
	Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error)
	// Release gives members of a batch back.
	Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error)
	// Watch tells when an earlier member has come in, and which members were removed while a worker had claimed them.
	Watch(ctx context.Context, w task.Watcher) error
}

// Store is what a consumer needs of the durable store. durable.Store has the contract of
// each method.
type Store interface {
	// Get returns rows with their payloads.
	Get(ctx context.Context, ids []string) ([]task.Row, error)
	// Versions returns which versions exist.
	Versions(ctx context.Context, ids []string) ([]task.Ref, error)
	// Delete deletes rows in the versions named.
	Delete(ctx context.Context, refs []task.Ref) ([]bool, error)
	// Bury moves rows in the versions named to the dead letters.
	Bury(ctx context.Context, burials []task.Burial) ([]bool, error)
	// RaiseAttempts has rows know of more failed attempts, and returns how many of them knew of fewer.
	RaiseAttempts(ctx context.Context, counts []task.Attempts) (raised int, err error)
	// Move gives a row a new version and time.
	Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error)
}

// Options of New. The scheduler has put its defaults in, so what is zero has the meaning that is named here.
type Options struct {
	Partitions      int                                         // of the hot set
	Queue           int                                         // most tasks that wait in this process
	Lease           time.Duration                               // of a batch
	Drain           time.Duration                               // how long Run waits for deliveries in hand
	DeliveryTimeout time.Duration                               // how long a caller may take
	Retry           retrypolicy.Policy                          // the delay after a failed attempt; nil: the default
	MaxAttempts     int                                         // after how many failed attempts a task becomes a dead letter; 0: never
	Ahead           time.Duration                               // how long before they are due tasks may be claimed, at most task.MaxAhead; below 1 ms: not at all
	Alarm           func() *wait.Alarm                          // makes what tells that these are due; nil: wait.NewAlarm
	MaxRate         float64                                     // how many tasks are claimed in a second; 0: no limit
	Interval        time.Duration                               // from one claimed member of a partition to the next, by all processes; 0: no limit
	MaxInFlight     func(p int) int                             // how many members of a partition may be claimed at a time, by all processes; nil: no limit
	Pause           func() task.Pause                           // what was recorded when this process read the records last; nil: no pause
	PauseNoted      <-chan struct{}                             // has an element once Pause returns another one; nil: never
	Kept            func(roles []task.Role, term time.Duration) // is told of the roles that processes hold (task.Watcher); may be nil
	Later           func(task.Row)                              // adds a row to the hot set as soon as the hot set answers, if the row exists
	History         *History                                    // keeps what becomes of tasks; nil: none is kept
	Report          *report.Reporter                            // gets what no caller can be told
	Hooks           hook.Hooks                                  // are told of events; each may be nil
}

// Consumer hands out the tasks of one scheduler.
type Consumer struct {
	set     Set
	store   Store
	o       Options
	settler settler
	figures figures

	running    chan struct{}            // closed when Run begins
	drainBegan chan struct{}            // closed when Run stops handing out
	nudge      chan struct{}            // the claimer looks again
	quiet      chan int                 // partitions that are quiet (task.Watcher)
	removed    chan removed             // members that the hot set told of
	room       chan struct{}            // has an element once fewer tasks are in flight; nil without MaxInFlight
	handlers   atomic.Pointer[Handlers] // nil: Handle was not called
	backlog    backlogTracker           // of tasks that are due and wait
	raises     sync.WaitGroup           // of raise
	handsOut   atomic.Bool              // Run runs, and its drain has not begun

	mu            sync.Mutex
	stage         stage
	stepped       bool // Step was called, and Run was not
	queue         queue
	future        future // claimed, and not due yet
	raising       int    // claimed tasks that are queued once their rows know of their attempts (raise)
	low           int    // the claimer is nudged when the queue is that short
	waiters       []chan *Delivery
	batches       map[string]*batch
	releases      []failedRelease // that the keeper retries
	held          int             // deliveries that callers hold: their life is inHand or outOfBatch
	handsEmpty    chan struct{}   // made by drain; closed when held is 0
	settling      int             // settlements under way, and what timeouts give back
	unasked       int             // of these, those that no caller asked for: a timeout gives the task back, or the claimer buries it
	allSettled    chan struct{}   // made by settler.allComplete; closed when settling is 0
	settledLately recent
	pause         task.Pause   // the newest one that a claim or Options.Pause told of
	reading       clockReading // of the hot set's clock, the last one
}

// warnAfter is how long Consume waits for Run before it reports that.
const warnAfter = 5 * time.Second

// stage is the stage of a Consumer's life. It only goes on.
type stage int

const (
	notRun   stage = iota
	running        // Run claims and hands out, or Step was called
	draining       // Run hands out no more
	closed         // Run has returned, or is about to
)

// New returns a Consumer. It does no I/O and starts nothing.
func New(set Set, store Store, o Options) *Consumer {
	c := &Consumer{set: set, store: store, o: o, running: make(chan struct{}), drainBegan: make(chan struct{}),
		nudge: make(chan struct{}, 1), removed: make(chan removed, mostRemoved), quiet: make(chan int, o.Partitions), batches: map[string]*batch{}}
	if o.Alarm == nil {
		c.o.Alarm = wait.NewAlarm
	}
	if o.MaxInFlight != nil {
		c.room = make(chan struct{}, 1)
	}
	c.settler.init(c)
	return c
}

// Run claims and hands out until ctx ends, and then drains: it gives back what
// waits, waits for callers to settle what they have, completes these settlements, and gives
// back the rest. It returns nil then, after all that it started has ended. It returns at once
// task.ErrRunning or task.ErrClosed if it ran before.
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
	c.handsOut.Store(true)
	close(c.running)
	c.mu.Unlock()

	keep, stopKeeper := context.WithCancel(context.WithoutCancel(ctx))
	var agents, keeper sync.WaitGroup
	woken := make(chan struct{}, 1)
	if c.claimsAhead() {
		c.future.alarm = c.o.Alarm()
		defer c.future.alarm.Close()
		agents.Go(func() { c.handFuture(ctx) })
	}
	keeper.Go(func() { c.keep(keep) })
	agents.Go(func() {
		c.watch(ctx, task.Watcher{Wake: woken, Removed: c.noteRemoved, Kept: c.o.Kept, Quiet: c.noteQuiet})
	})
	agents.Go(func() { c.endRemoved(ctx) })
	agents.Go(func() { c.claimLoop(ctx, woken) })
	agents.Wait()
	began := time.Now()
	c.drain(context.WithoutCancel(ctx))
	c.raises.Wait()
	stopKeeper()
	keeper.Wait()
	c.flushReleases(context.WithoutCancel(ctx), began)
	return nil
}

func (c *Consumer) watch(ctx context.Context, w task.Watcher) {
	for ctx.Err() == nil {
		if err := c.set.Watch(ctx, w); err != nil {
			c.o.Report.Error("watch hot set", err, "watch again in 1 s")
		}
		wait.For(ctx, time.Second)
	}
}

// Consume waits for a task that is due and returns it. The error is ctx.Err(), or
// task.ErrClosed once Run has begun to drain.
func (c *Consumer) Consume(ctx context.Context) (*Delivery, error) {
	if err := c.awaitRun(ctx); err != nil {
		return nil, err
	}
	for {
		d, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		if c.expiredNow(d) {
			c.buryExpired([]*Delivery{d})
			continue
		}
		if c.handOrReturn(ctx, d) {
			return d, nil
		}
	}
}

// handOrReturn puts d into its caller's hands, and reports whether it did. What is to be given back it gives back.
func (c *Consumer) handOrReturn(ctx context.Context, d *Delivery) bool {
	handed, suspended := c.hand(d)
	if handed {
		c.tellDelivered(d)
	}
	if suspended {
		c.giveBack(context.WithoutCancel(ctx), d.batch, []*Delivery{d}, task.ReleaseRequest{AtNext: true})
	}
	return handed
}

// awaitRun waits until Run has begun. After warnAfter it reports that it still waits.
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
func (c *Consumer) next(ctx context.Context) (*Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.stage >= draining {
		c.mu.Unlock()
		return nil, fmt.Errorf("consume: %w", task.ErrClosed)
	}
	if c.queue.len() > 0 {
		d := c.queue.pop()
		low := c.queue.len() <= c.low
		c.mu.Unlock()
		if low {
			c.nudgeClaimer()
		}
		return d, nil
	}
	w := make(chan *Delivery, 1)
	c.waiters = append(c.waiters, w)
	c.mu.Unlock()
	c.nudgeClaimer()
	select {
	case d := <-w:
		return d, nil
	case <-ctx.Done():
		return c.leave(w, ctx.Err())
	case <-c.drainBegan:
		return c.leave(w, fmt.Errorf("consume: %w", task.ErrClosed))
	}
}

// leave ends a wait; if a task was handed over meanwhile, that wins.
func (c *Consumer) leave(w chan *Delivery, err error) (*Delivery, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.waiters, w); i >= 0 {
		c.waiters = slices.Delete(c.waiters, i, i+1)
		return nil, err
	}
	return <-w, nil
}

// nudgeClaimer makes the claimer look at what is wanted.
func (c *Consumer) nudgeClaimer() { wait.Wake(c.nudge) }

// hand puts d into its caller's hands, unless one of these holds:
//
//   - The drain has begun, which gives d back; or d has left its batch, or its lease is over. Both answers are false.
//   - Tasks are not delivered at present (Options.Pause); or the machine was suspended since the lease was extended, or
//     its clock was set, so that the lease may be over. suspended: the caller of hand gives d back.
func (c *Consumer) hand(d *Delivery) (handed, suspended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.stage >= draining || d.life != claimed || !now.Before(d.batch.deadline) {
		return false, false
	}
	if c.pausedSince(d) {
		return false, true
	}
	if !now.Round(0).Before(d.batch.ends) {
		return false, true
	}
	d.since, d.life = now, inHand
	d.ctx.begin(now.Add(c.o.DeliveryTimeout))
	c.held++
	c.figures.delivered(d.failedAttempts, c.reading.now().Sub(time.UnixMilli(d.nextMS)))
	return true, false
}

// enqueue hands d out once it is due. Under mu.
func (c *Consumer) enqueue(d *Delivery) {
	if !c.putAside(d) {
		c.handToWaiter(d)
	}
}

// handToWaiter hands d to the caller that has waited longest, or queues it. Under mu.
func (c *Consumer) handToWaiter(d *Delivery) {
	if len(c.waiters) > 0 {
		w := c.waiters[0]
		c.waiters = c.waiters[1:]
		w <- d
		return
	}
	d.since = time.Now()
	c.queue.push(d)
}

// drain ends what Run began, except the keeper: the queue goes back at once, callers have Drain to
// settle what they have in hand, and then that goes back too.
func (c *Consumer) drain(ctx context.Context) {
	idle := make(chan struct{})
	c.mu.Lock()
	c.stage = draining
	c.handsOut.Store(false)
	close(c.drainBegan)
	if c.held > 0 {
		c.handsEmpty = idle
	} else {
		close(idle)
	}
	c.mu.Unlock()
	c.settler.asyncs.Ask() // confirms do not linger any more
	failpoint.Hit("drain/queue")
	c.returnClaims(ctx, func(d *Delivery) bool { return d.life == claimed && d.settlement.is(unsettled) })
	failpoint.Hit("drain/wait")
	c.mu.Lock()
	c.queue, c.future.tasks = queue{}, nil
	c.mu.Unlock()
	over := time.NewTimer(c.o.Drain)
	defer over.Stop()
	select {
	case <-idle:
	case <-over.C:
		c.warnOfUnsettled()
	}
	c.settler.stop()
	failpoint.Hit("drain/rest")
	c.returnClaims(ctx, func(d *Delivery) bool { return d.settlement.is(unsettled) })
	c.mu.Lock()
	c.stage = closed
	c.mu.Unlock()
}

// draining reports whether Run hands out no more.
func (c *Consumer) draining() bool {
	select {
	case <-c.drainBegan:
		return true
	default:
		return false
	}
}

// warnOfUnsettled reports the deliveries that are in callers' hands when the drain time is over. It counts all of them,
// and names those that are still in their batch.
func (c *Consumer) warnOfUnsettled() {
	var ids []string
	c.mu.Lock()
	n := c.held - (c.settling - c.unasked)
	for _, b := range c.batches {
		b.each(func(d *Delivery) {
			if d.life == inHand && d.settlement.is(unsettled) {
				ids = append(ids, d.own.ID)
			}
		})
	}
	c.mu.Unlock()
	if n > 0 {
		c.o.Report.Warn("deliveries were not settled within Drain; they are given back", "deliveries", n, "drain", c.o.Drain, "ids", name(ids))
	}
}

// returnClaims gives the claimed tasks back that which chooses, without counting an attempt, and ends their contexts.
func (c *Consumer) returnClaims(ctx context.Context, which func(*Delivery) bool) {
	byBatch := map[*batch][]*Delivery{}
	c.mu.Lock()
	for _, b := range c.batches {
		b.each(func(d *Delivery) {
			if which(d) {
				byBatch[b] = append(byBatch[b], d)
			}
		})
	}
	c.mu.Unlock()
	for b, ds := range byBatch {
		for _, d := range ds {
			d.ctx.end(task.ErrClosed)
		}
		c.giveBack(ctx, b, ds, task.ReleaseRequest{AtNext: true})
	}
}
