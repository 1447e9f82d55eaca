package consumer

import (
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// batch is what this process has of a claimed batch. Under Consumer.mu.
type batch struct {
	p          int
	token      string
	generation int64
	claimedMS  int64     // when it was claimed, hot-set time
	asOfUS     int64     // the same in microseconds
	answered   time.Time // when the answer to the claim had come
	deadline   time.Time // by the monotonic clock; Redis ends it no earlier
	ends       time.Time // the same by the other one, which goes on while a machine is suspended, and may be set
	members    []*Delivery
	left       int // members that have not left it
	timer      *time.Timer
}

// extended notes a lease that a call which was sent then began or extended.
func (b *batch) extended(sent time.Time, lease time.Duration) {
	b.deadline = sent.Add(lease)
	b.ends = b.deadline.Round(0)
}

// each calls f for each member that has not left the batch.
func (b *batch) each(f func(*Delivery)) {
	for _, d := range b.members {
		if d.life.inBatch() {
			f(d)
		}
	}
}

// slab is how many deliveries are allocated at once: few enough that one which is
// kept for long keeps little alive, and as many as fill 4 KiB.
const slab = 13

// addBatch notes a batch that was claimed by a call that was sent then.
func (c *Consumer) addBatch(p int, got task.Batch, sent time.Time) *batch {
	b := &batch{p: p, token: got.Token, generation: got.AsOf.Generation, claimedMS: got.AsOf.TimeUS / 1000, asOfUS: got.AsOf.TimeUS, answered: time.Now(), members: make([]*Delivery, len(got.Claims)), left: len(got.Claims)}
	b.extended(sent, c.o.Lease)
	var some []Delivery
	var damaged error
	for i := range got.Claims {
		if len(some) == 0 {
			some = make([]Delivery, min(slab, len(got.Claims)-i))
		}
		damaged = errors.Join(damaged, some[0].fill(c, b, &got.Claims[i].Entry))
		some[0].offerMS = c.offerOf(got, i)
		b.members[i], some = &some[0], some[1:]
	}
	c.reportHeaders(damaged)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches[b.token] = b
	b.timer = time.AfterFunc(time.Until(b.deadline), func() { c.expire(b) })
	return b
}

// queue has what was claimed and waits for a Consume, oldest first.
type queue struct {
	items []*Delivery
	head  int
}

// mostTaken is how many places of items, at its front, may be empty before the rest moves there.
const mostTaken = 64

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(d *Delivery) {
	if q.head > mostTaken && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, d)
}

func (q *queue) first() *Delivery { return q.items[q.head] }

func (q *queue) pop() *Delivery {
	d := q.items[q.head]
	q.items[q.head] = nil // otherwise the array would keep it
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return d
}
