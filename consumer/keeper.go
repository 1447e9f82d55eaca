package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// beat is how often the keeper extends: three times a lease, and once a second at
// least, for it is also how this process learns of a new generation in time to
// register what it holds.
func (c *Consumer) beat() time.Duration { return min(time.Second, c.o.Lease/3) }

// keep extends the leases of live batches until ctx ends. It stops last.
func (c *Consumer) keep(ctx context.Context) {
	tick := time.NewTicker(c.beat())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for p, bs := range c.live() {
			c.extend(ctx, p, bs)
		}
		c.timeOut()
	}
}

// live returns the batches of each partition.
func (c *Consumer) live() map[int][]*batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[int][]*batch{}
	for _, b := range c.batches {
		all[b.p] = append(all[b.p], b)
	}
	return all
}

func (c *Consumer) extend(ctx context.Context, p int, bs []*batch) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Lease/3)
	defer cancel()
	byGeneration := map[int64][]*batch{}
	for _, b := range bs {
		byGeneration[b.generation] = append(byGeneration[b.generation], b)
	}
	for g, bs := range byGeneration {
		h := task.Held{Generation: g, Lease: c.o.Lease}
		byToken, byRef := map[string]*batch{}, map[task.Ref]*held{}
		c.mu.Lock()
		for _, b := range bs {
			h.Tokens = append(h.Tokens, b.token)
			byToken[b.token] = b
			for ref, m := range b.members {
				h.Refs = append(h.Refs, ref)
				byRef[ref] = m
			}
		}
		c.mu.Unlock()
		sent := time.Now()
		e, err := c.set.Extend(ctx, p, h)
		switch {
		case errors.Is(err, task.ErrAborted):
			for _, b := range bs {
				c.register(ctx, b)
			}
			continue
		case errors.Is(err, task.ErrCold):
			continue // the feeder begins a generation; then it is another
		case err != nil:
			c.o.Report.Error("extend leases", err, "extended again at the next beat", "partition", p)
			continue
		}
		for _, ref := range e.Gone { // first: a batch may have ended with its last member
			c.drop(byRef[ref], task.ErrGone)
		}
		for _, t := range e.Lost {
			c.lose(byToken[t], ErrLeaseLost)
			delete(byToken, t)
		}
		for _, b := range byToken {
			c.renew(b, sent)
		}
	}
}

// renew notes that b was extended by a call that was sent then.
func (c *Consumer) renew(b *batch, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.deadline = sent.Add(c.o.Lease)
	if c.batches[b.token] == b {
		b.timer.Reset(time.Until(b.deadline))
	}
}

// expire is the end of a lease by the local clock.
func (c *Consumer) expire(b *batch) {
	c.mu.Lock()
	over := c.batches[b.token] == b && !time.Now().Before(b.deadline)
	c.mu.Unlock()
	if over {
		c.lose(b, ErrLeaseLost)
	}
}

// lose ends all that a batch holds.
func (c *Consumer) lose(b *batch, cause error) {
	c.mu.Lock()
	var hs []*held
	for _, h := range b.members {
		hs = append(hs, h)
	}
	c.mu.Unlock()
	if len(hs) == 0 {
		return
	}
	c.figures.leasesLost.Add(1)
	for _, h := range hs {
		c.drop(h, cause)
	}
}

// drop ends what this process holds of a task: it is somebody else's, or gone.
func (c *Consumer) drop(h *held, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h == nil || h.lost {
		return
	}
	c.forget(h)
	if h.delivery != nil {
		h.delivery.cancel(cause)
	}
}

// register puts what b holds into a batch of the generation that is: reads its
// rows, then an add that claims them. Who has no row, or is in another's batch by
// now, is dropped.
func (c *Consumer) register(ctx context.Context, b *batch) {
	c.mu.Lock()
	var hs []*held
	var ids []string
	for _, h := range b.members {
		hs, ids = append(hs, h), append(ids, h.ID)
	}
	c.mu.Unlock()
	asOf, err := c.set.Clock(ctx, b.p)
	if err != nil || asOf.Generation == 0 {
		c.o.Report.Error("register held tasks", err, "registered at the next beat")
		return
	}
	rows, err := c.store.Get(ctx, ids)
	if err != nil {
		c.o.Report.Error("register held tasks", err, "registered at the next beat")
		return
	}
	stand := make(map[task.Ref]bool, len(rows))
	for _, r := range rows {
		stand[r.Ref] = true
	}
	var kept []*held
	a := task.Adding{AsOf: asOf, Token: b.token, Lease: c.o.Lease}
	for _, h := range hs {
		if !stand[h.Ref] {
			c.drop(h, task.ErrGone)
			continue
		}
		e := h.Entry
		kept, a.Entries = append(kept, h), append(a.Entries, e)
	}
	sent := time.Now()
	answers, err := c.set.Add(ctx, b.p, a)
	if err != nil {
		c.o.Report.Error("register held tasks", err, "registered at the next beat")
		return
	}
	for i, h := range kept {
		if answers[i] != task.Claimed {
			c.drop(h, ErrLeaseLost)
		}
	}
	c.mu.Lock()
	b.generation = asOf.Generation
	c.mu.Unlock()
	c.renew(b, sent)
}

// timeOut rolls back what callers have held for too long.
func (c *Consumer) timeOut() {
	var late []*Delivery
	c.mu.Lock()
	for _, b := range c.batches {
		for _, h := range b.members {
			if h.delivery != nil && !h.delivery.settled.Load() && time.Since(h.since) >= c.o.DeliveryTimeout {
				late = append(late, h.delivery)
			}
		}
	}
	c.mu.Unlock()
	for _, d := range late {
		if d.settled.Swap(true) {
			continue
		}
		d.cancel(ErrTimeout)
		c.figures.timedOut.Add(1)
		c.settler.rollback(d.held, 0)
	}
}
