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
	clockUS    int64     // the last reading of the hot set's clock that was made before the answer to the claim came
	answered   time.Time // when that answer had come
	deadline   time.Time // when its lease ends, by the monotonic clock; the hot set ends it no earlier
	ends       time.Time // the same by the wall clock, which goes on while a machine is suspended, and may be set
	members    []*Delivery
	left       int         // members that have not left the batch
	timer      *time.Timer // calls expire at the deadline
}

// extended notes that the lease was begun, or extended, by a call that was sent then.
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

// slab is how many deliveries are allocated at once. They fill 4 KiB, so that a delivery which a caller keeps for long
// keeps no more than that from being freed.
const slab = 13

// addBatch notes a batch, got, that was claimed by a call which was sent then.
func (c *Consumer) addBatch(p int, got task.Batch, sent, answered time.Time) *batch {
	b := &batch{p: p, token: got.Token, generation: got.AsOf.Generation, claimedMS: got.AsOf.TimeUS / 1000, clockUS: lastReading(got),
		answered: answered, members: make([]*Delivery, len(got.Claims)), left: len(got.Claims)}
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

// queue has the deliveries that wait for a Consume, oldest first: items from head on.
type queue struct {
	items []*Delivery
	head  int
}

// mostTaken: if more places than that are empty before head, and more than are in use behind it, the items move to the front.
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
