package consumer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// beat is how often the keeper extends: at least three times a lease, and at least once a second,
// because an extension is also how this process learns of a new generation in time to register
// what it holds.
func (c *Consumer) beat() time.Duration { return min(time.Second, c.o.Lease/3) }

// keep extends the leases of live batches until ctx ends. It stops last. Partitions are extended
// side by side, so that one whose server hangs holds up no other in this beat. The next beat waits
// for all, for a third of a lease at most.
func (c *Consumer) keep(ctx context.Context) {
	tick := time.NewTicker(c.beat())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var all sync.WaitGroup
		for p, bs := range c.live() {
			all.Go(func() { c.extend(ctx, p, bs) })
		}
		all.Wait()
		c.timeOutDeliveries()
		if h := c.handlers.Load(); h != nil {
			h.replaceStuck()
		}
		c.retryReleases(ctx)
	}
}

// failedRelease is a release that did not reach the hot set. The members that it names wait in their batch,
// the lease of which is extended as long as another of its tasks is in hand.
type failedRelease struct {
	b *batch
	r task.ReleaseRequest
}

// queueRelease has a release retried by the keeper.
func (c *Consumer) queueRelease(b *batch, r task.ReleaseRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releases = append(c.releases, failedRelease{b, r})
}

// retryReleases makes the queued releases, in each partition until one fails again. Where
// the lease has expired by now the reaper does it.
func (c *Consumer) retryReleases(ctx context.Context) {
	c.mu.Lock()
	all := c.releases
	c.releases = nil
	now := time.Now()
	all = slices.DeleteFunc(all, func(f failedRelease) bool { return !now.Before(f.b.deadline) })
	c.mu.Unlock()
	failed := map[int]bool{}
	for _, f := range all {
		if !failed[f.b.p] && c.sendRelease(ctx, f.b, f.r) {
			continue
		}
		failed[f.b.p] = true
		c.mu.Lock()
		c.releases = append(c.releases, f)
		c.mu.Unlock()
	}
}

// flushReleases makes the releases that are still queued when the drain, which began then, is over.
// It takes until Drain has passed, or hotTimeout if that is longer.
func (c *Consumer) flushReleases(ctx context.Context, began time.Time) {
	ctx, cancel := context.WithTimeout(ctx, max(hotTimeout, c.o.Drain-time.Since(began)))
	defer cancel()
	for c.retryReleases(ctx); c.queuedReleases() > 0 && ctx.Err() == nil; c.retryReleases(ctx) {
		wait.For(ctx, retryPause)
	}
	if n := c.queuedReleases(); n > 0 {
		c.o.Report.Error("give tasks back", ctx.Err(), "given back by the reaper, once their lease is over", "tasks", n)
	}
}

// queuedReleases returns how many tasks the queued releases name.
func (c *Consumer) queuedReleases() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.releases {
		n += len(f.r.Refs)
	}
	return n
}

// live returns the batches of each partition, except those whose deadline has passed, which expire is about
// to end. Their lease may have been reaped, even if older data that a failover brings back still has it. So they are
// neither extended nor registered: another worker may have their tasks.
func (c *Consumer) live() map[int][]*batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[int][]*batch{}
	now := time.Now()
	for _, b := range c.batches {
		if now.Before(b.deadline) {
			all[b.p] = append(all[b.p], b)
		}
	}
	return all
}

// extend extends the leases of batches of one partition. Each generation is a call of its own.
func (c *Consumer) extend(ctx context.Context, p int, bs []*batch) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Lease/3)
	defer cancel()
	byGeneration := map[int64][]*batch{}
	for _, b := range bs {
		byGeneration[b.generation] = append(byGeneration[b.generation], b)
	}
	for generation, bs := range byGeneration {
		c.extendIn(ctx, p, generation, bs)
	}
}

// extendIn extends the leases of batches of one generation, and ends the deliveries that the answer tells are
// lost or gone.
func (c *Consumer) extendIn(ctx context.Context, p int, generation int64, bs []*batch) {
	req := task.ExtendRequest{Generation: generation, Lease: c.o.Lease}
	byToken, byRef := map[string]*batch{}, map[task.Ref]*Delivery{}
	c.mu.Lock()
	for _, b := range bs {
		req.Tokens = append(req.Tokens, b.token)
		byToken[b.token] = b
		b.each(func(d *Delivery) {
			if d.settlement.is(unsettled) { // what became of the others the settler learns from their rows
				req.Refs = append(req.Refs, d.own)
				byRef[d.own] = d
			}
		})
	}
	c.mu.Unlock()
	sent := time.Now()
	failpoint.Hit("extend/renew")
	e, err := c.set.Extend(ctx, p, req)
	switch {
	case errors.Is(err, task.ErrAborted): // another generation is current
		c.registerAll(ctx, bs)
		return
	case errors.Is(err, task.ErrCold):
		return // the feeder begins a generation, in which a later beat registers the batches
	case err != nil:
		c.o.Report.Error("extend leases", err, "extended again at the next beat", "partition", p)
		return
	}
	failpoint.Hit("extend/end")
	for token, b := range byToken {
		if !slices.Contains(e.Lost, token) {
			c.renew(b, sent)
		}
	}
	// Renew first, because restoring a member asks the durable store, which may be away.
	// Restore before the batches in e.Lost end, because a batch whose last member is gone is
	// one of them.
	gone := make(map[*batch][]*Delivery)
	for _, ref := range e.Gone {
		d := byRef[ref]
		gone[d.batch] = append(gone[d.batch], d)
	}
	for b, ds := range gone {
		c.restoreEntries(ctx, b, ds)
	}
	for _, token := range e.Lost {
		if b := byToken[token]; !c.allSettledIn(b) {
			c.loseLease(b)
		}
	}
}

// allSettledIn reports whether each member of b is settled. Then the hot set mostly has no batch any more
// because the settlements have ended it, and this process has not noted that yet. If
// the lease was lost nevertheless, expire finds out.
func (c *Consumer) allSettledIn(b *batch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := true
	b.each(func(d *Delivery) { all = all && d.settlement.is(settled) })
	return all
}

// renew notes that b was extended by a call that was sent then.
func (c *Consumer) renew(b *batch, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.extended(sent, c.o.Lease)
	if c.batches[b.token] == b {
		b.timer.Reset(time.Until(b.deadline))
	}
}

// expire loses the lease of b if its deadline has passed. The timer of b calls it.
func (c *Consumer) expire(b *batch) {
	c.mu.Lock()
	expired := c.batches[b.token] == b && !time.Now().Before(b.deadline)
	c.mu.Unlock()
	if expired {
		c.loseLease(b)
	}
}

// loseLease ends the deliveries of a batch whose lease is over.
func (c *Consumer) loseLease(b *batch) {
	var lost []*Delivery
	c.mu.Lock()
	if b.left > 0 {
		c.figures.leasesLost.Add(1)
		b.each(func(d *Delivery) { lost = append(lost, d) })
	}
	for _, d := range lost {
		c.endDelivery(d, task.ErrLeaseLost)
	}
	c.mu.Unlock()
	c.tellLeaseLost(b, lost)
}

// endDelivery ends a delivery whose lease was lost, or whose row is gone. If the row is gone Run waits for the
// caller no more, unless the settlement is under way, because a caller whose context has ended may leave
// d unsettled. If only the lease was lost, as in an outage, Run waits: a Confirm still saves another
// delivery. Under mu.
func (c *Consumer) endDelivery(d *Delivery, cause error) {
	if !d.life.inBatch() {
		return
	}
	c.leaveBatch(d)
	d.ctx.end(cause)
	if errors.Is(cause, task.ErrGone) && !d.settlement.is(settled) {
		c.leaveHands(d)
	}
}

// restoreEntries finds out what became of members of b that have no entry in the hot set. Mostly their
// rows are gone (deleted, rescheduled), and their deliveries end. But the hot set may have lost the
// entries alone (an eviction). Then it puts them back, because a task that a handler works on must
// not be offered to others.
func (c *Consumer) restoreEntries(ctx context.Context, b *batch, ds []*Delivery) {
	if _, err := c.registerNow(ctx, b, ds); err != nil {
		c.o.Report.Error("put back lost entries", err, "put back at the next beat", "tasks", len(ds))
	}
}

// removed is a message of the hot set: these members were removed while some worker had claimed them.
type removed struct {
	p    int
	refs []task.Ref
}

// mostRemoved is how many messages of removed members wait. The next extension finds out what a message told for which there was no
// room.
const mostRemoved = 64

// noteRemoved has endRemoved look at what was removed.
func (c *Consumer) noteRemoved(p int, refs []task.Ref) {
	select {
	case c.removed <- removed{p, refs}:
	default:
	}
}

// endRemoved asks, until ctx ends, what became of tasks of this process that were removed by others, and ends their deliveries if
// their rows are gone. Otherwise the next extension would find out, but most of what was claimed ahead would be handed out before.
func (c *Consumer) endRemoved(ctx context.Context) {
	for {
		select {
		case r := <-c.removed:
			for b, ds := range c.unsettledOf(r) {
				if _, err := c.registerNow(ctx, b, ds); err != nil && ctx.Err() == nil {
					c.o.Report.Error("ask for removed tasks", err, "asked again at the next beat", "tasks", len(ds))
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// unsettledOf returns the deliveries of this process that r names and no caller has settled, by batch.
func (c *Consumer) unsettledOf(r removed) map[*batch][]*Delivery {
	named := make(map[task.Ref]bool, len(r.refs))
	for _, ref := range r.refs {
		named[ref] = true
	}
	all := map[*batch][]*Delivery{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.batches {
		if b.p != r.p {
			continue
		}
		b.each(func(d *Delivery) {
			if named[d.own] && d.settlement.is(unsettled) {
				all[b] = append(all[b], d)
			}
		})
	}
	return all
}

// registering is how many batches are registered side by side. A new generation waits 2 s
// for all of them; a far server's round trips, three a batch, are long.
const registering = 16

// registerAll registers batches of one partition.
func (c *Consumer) registerAll(ctx context.Context, bs []*batch) {
	var all sync.WaitGroup
	free := make(chan struct{}, registering)
	for _, b := range bs {
		free <- struct{}{}
		all.Go(func() {
			c.register(ctx, b)
			<-free
		})
	}
	all.Wait()
}

// register puts what is left of b into a batch of the present generation: it reads which of the rows
// exist, and then an add claims these members. The delivery of a member that has no row, or is in another
// worker's batch by now, ends.
func (c *Consumer) register(ctx context.Context, b *batch) {
	sent := time.Now()
	var ds []*Delivery
	c.mu.Lock()
	b.each(func(d *Delivery) { ds = append(ds, d) })
	c.mu.Unlock()
	generation, err := c.registerNow(ctx, b, ds)
	if err != nil {
		c.o.Report.Error("register tasks in hand", err, "registered at the next beat")
		return
	}
	c.mu.Lock()
	b.generation = generation
	c.mu.Unlock()
	c.renew(b, sent)
}

// registerNow registers the deliveries of b that have a row, and ends those that have none or are in another worker's batch. It
// returns the generation that they are registered with.
func (c *Consumer) registerNow(ctx context.Context, b *batch, ds []*Delivery) (generation int64, err error) {
	asOf, err := c.clockIfWarm(ctx, b.p) // before the rows (AsOfBeforeRead)
	if err != nil {
		return 0, err
	}
	var kept []*Delivery
	ids := make([]string, len(ds))
	for i, d := range ds {
		ids[i] = d.own.ID
	}
	failpoint.Hit("register/read")
	refs, err := c.store.Versions(ctx, ids)
	if err != nil {
		return 0, err
	}
	exists := make(map[task.Ref]bool, len(refs))
	for _, r := range refs {
		exists[r] = true
	}
	a := task.AddRequest{AsOf: asOf, Token: b.token, Lease: c.o.Lease}
	c.mu.Lock() // the claimer may be filling in what it has read of a row
	for _, d := range ds {
		if !exists[d.own] {
			c.endDelivery(d, task.ErrGone)
			continue
		}
		kept = append(kept, d)
		a.Entries = append(a.Entries, d.entry())
	}
	c.mu.Unlock()
	failpoint.Hit("register/add")
	outcomes, err := c.set.Add(ctx, b.p, a)
	if err != nil {
		return 0, err
	}
	failpoint.Hit("register/end")
	c.noteRegistered(b, kept, outcomes)
	return asOf.Generation, nil
}

// clockIfWarm is Clock, or task.ErrCold if the partition has no generation.
func (c *Consumer) clockIfWarm(ctx context.Context, p int) (task.AsOf, error) {
	asOf, err := c.set.Clock(ctx, p)
	if err == nil && asOf.Generation == 0 {
		err = task.ErrCold
	}
	return asOf, err
}

// noteRegistered ends the deliveries of b that could not be registered: another worker has them.
func (c *Consumer) noteRegistered(b *batch, kept []*Delivery, outcomes []task.AddOutcome) {
	var lost []*Delivery
	c.mu.Lock()
	for i, d := range kept {
		if outcomes[i] != task.AddClaimed && d.life.inBatch() {
			c.endDelivery(d, task.ErrLeaseLost)
			lost = append(lost, d)
		}
	}
	c.mu.Unlock()
	c.tellLeaseLost(b, lost)
}

// entry is d as a member. It has no payload, because the caller of d may have changed that: if the task is
// offered again, the payload is read from the row. Under Consumer.mu.
func (d *Delivery) entry() task.Entry {
	return task.Entry{Ref: d.own, NextMS: d.nextMS, DueMS: d.dueMS, Attempt: d.failedAttempts, External: true}
}

// timeOutDeliveries gives back what callers have had for longer than DeliveryTimeout. At its end the
// drain does that itself.
func (c *Consumer) timeOutDeliveries() {
	if c.settler.retrying.Err() != nil {
		return
	}
	var late []*Delivery
	c.mu.Lock()
	for _, b := range c.batches {
		b.each(func(d *Delivery) {
			if d.life == inHand && d.settlement.is(unsettled) && time.Since(d.since) >= c.o.DeliveryTimeout {
				late = append(late, d)
			}
		})
	}
	c.mu.Unlock()
	for _, d := range late {
		d.returned = make(chan struct{})
		if !d.settlement.timeOut() {
			continue
		}
		d.ctx.end(task.ErrTimeout)
		c.figures.timedOut.Add(1)
		c.settler.returnTimedOut(d)
	}
}
