package consumer

import (
	"context"

	"github.com/triggerhook/triggerhook/task"
)

// This process knows of a pause by its claims, and by the records, which it reads each second while it has something in hand. A task that was claimed
// before the end of that pause is not handed out: it is given back, without an attempt counted. No clock is read for this,
// because a claim that is made after the end of the pause has a later time than that end.

// pausedSince reports whether d was claimed before the end of a pause that is known by now. Under mu.
func (c *Consumer) pausedSince(d *Delivery) bool {
	if c.o.Pause != nil {
		c.pause = c.pause.Newest(c.o.Pause())
	}
	return d.batch.claimedMS < c.pause.UntilMS
}

// notePause notes a pause. It gives back what waits in the queue, if that was claimed before the end of the pause.
func (c *Consumer) notePause(ctx context.Context, p task.Pause) {
	byBatch := map[*batch][]*Delivery{}
	c.mu.Lock()
	c.pause = c.pause.Newest(p)
	for c.queue.len() > 0 && c.queue.first().batch.claimedMS < c.pause.UntilMS {
		d := c.queue.pop()
		byBatch[d.batch] = append(byBatch[d.batch], d)
	}
	for _, d := range c.takeFuture(c.pause) {
		byBatch[d.batch] = append(byBatch[d.batch], d)
	}
	c.mu.Unlock()
	c.returnQueued(ctx, byBatch)
}
