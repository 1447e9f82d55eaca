package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// firstRead is how many rows are read at once as long as it is not known how long payloads are: with
	// the default MaxPayload so many fit into task.MostBytes.
	firstRead = 64
	// readAtOnce is how many rows are read at once at most, when some rows have told about how long payloads are.
	readAtOnce = 1000
	// mostRead is about how many bytes of payloads a claim may bring into this process from the
	// durable store. The tasks beyond that go back.
	mostRead = 64 << 20
)

// unread is a claimed task whose row is still to be read.
type unread struct {
	d    *Delivery
	size int // of its payload; 0: not known
}

// accept queues the tasks of a claimed batch. Where the hot set does not hold everything of a task, it reads the row first. What has failed
// before is queued once its row knows how often (enqueueRetried). A task that has failed as often as MaxAttempts allows, or that has
// expired, becomes a dead letter.
func (c *Consumer) accept(ctx context.Context, b *batch, claims []task.Claim) {
	var whole, retried, expired []*Delivery
	var incomplete []unread
	c.mu.Lock()
	for i, cl := range claims {
		switch d := b.members[i]; {
		case cl.EntryLost || cl.External || c.exhausted(d):
			incomplete = append(incomplete, unread{d: d})
		case d.expired(b.claimedMS):
			expired = append(expired, d)
		case cl.Attempt > 0:
			retried = append(retried, d)
		default:
			whole = append(whole, d)
		}
	}
	c.mu.Unlock()
	c.buryExpired(expired)
	c.enqueueAll(whole)
	c.enqueueRetried(b, retried)
	c.readAll(ctx, b, incomplete)
	failpoint.Hit("claim/end")
}

// enqueueAll enqueues those of ds that are in their batch still.
func (c *Consumer) enqueueAll(ds []*Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range ds {
		if d.life.inBatch() {
			c.enqueue(d)
		}
	}
}

// readAll reads the rows of todo, piece by piece, and enqueues each piece before it reads the next. A piece
// has no more than task.MostBytes of payloads, or one payload. If the store is away the tasks that are left are
// offered again in a second. Those beyond mostRead are offered again at once, to other processes and
// to later claims of this one.
func (c *Consumer) readAll(ctx context.Context, b *batch, todo []unread) {
	bytes, n := 0, firstRead
	for len(todo) > 0 {
		some := todo[:piece(todo, n)]
		got, err := c.read(ctx, b, some)
		if err == nil && len(got.cut) == len(some) {
			err = fmt.Errorf("the store left the payloads of all %d rows out", len(some))
		}
		if err != nil {
			c.o.Report.Error("read payloads", err, "offer the tasks again in 1 s", "tasks", len(todo))
			c.giveBack(context.WithoutCancel(ctx), b, deliveries(todo), task.ReleaseRequest{Delay: time.Second})
			return
		}
		if some[0].size == 0 && got.rows > 0 {
			n = min(max(1, task.MostBytes/max(1, got.sizes/got.rows)), readAtOnce)
		}
		todo = append(got.cut, todo[len(some):]...)
		if bytes += got.bytes; bytes >= mostRead && len(todo) > 0 {
			c.giveBack(context.WithoutCancel(ctx), b, deliveries(todo), task.ReleaseRequest{AtNext: true})
			return
		}
	}
}

// piece is how many of todo to read next. If the length of the first is known: as many with known lengths as
// fit into task.MostBytes. Otherwise: up to n whose lengths are not known.
func piece(todo []unread, n int) int {
	sum := 0
	for i, u := range todo {
		known := u.size > 0
		sum += u.size
		if i > 0 && (known != (todo[0].size > 0) || sum > task.MostBytes || !known && i == n) {
			return i
		}
	}
	return len(todo)
}

// reading is what one reading of rows brought.
type reading struct {
	rows, sizes int      // how many rows were found, and the sum of the lengths of their payloads
	bytes       int      // of the payloads that came
	cut         []unread // the tasks whose payloads were left out, with their lengths
}

// read reads the rows of some members of b, and enqueues those that came whole. It removes a member that has no row,
// and buries a task that has expired or has no attempt left.
func (c *Consumer) read(ctx context.Context, b *batch, some []unread) (got reading, err error) {
	ids := make([]string, len(some))
	for i, u := range some {
		ids[i] = u.d.own.ID
	}
	failpoint.Hit("claim/read")
	rows, err := c.store.Get(ctx, ids)
	if err != nil {
		return got, err
	}
	byRef := make(map[task.Ref]task.Row, len(rows))
	for _, r := range rows {
		byRef[r.Ref] = r
		got.rows, got.sizes, got.bytes = got.rows+1, got.sizes+r.Size, got.bytes+r.Bytes()
	}
	var whole, retried, exhausted, expired []*Delivery
	var gone []task.Ref
	var damaged error
	c.mu.Lock()
	for _, u := range some {
		switch r, ok := byRef[u.d.own]; {
		case !ok:
			gone = append(gone, u.d.own)
			c.leaveBatch(u.d)
		case r.Cut():
			got.cut = append(got.cut, unread{u.d, r.Size})
		default:
			damaged = errors.Join(damaged, u.d.fillFrom(r))
			switch {
			case u.d.expired(b.claimedMS):
				expired = append(expired, u.d)
			case c.exhausted(u.d):
				exhausted = append(exhausted, u.d)
			case r.Attempt < u.d.failedAttempts:
				retried = append(retried, u.d)
			default:
				whole = append(whole, u.d)
			}
		}
	}
	c.mu.Unlock()
	c.reportHeaders(damaged)
	c.buryExhausted(exhausted)
	c.buryExpired(expired)
	c.enqueueAll(whole)
	c.raise(retried, func(int, error) { c.enqueueAll(retried) })
	c.dropGone(ctx, b, gone)
	return got, nil
}

// dropGone removes members of b that have no row.
func (c *Consumer) dropGone(ctx context.Context, b *batch, gone []task.Ref) {
	if len(gone) == 0 {
		return
	}
	failpoint.Hit("claim/drop")
	if _, err := c.set.Remove(ctx, b.p, b.token, gone); err != nil {
		c.o.Report.Error("drop tasks without rows", err, "the reaper drops them", "tasks", len(gone))
	}
}

// fillFrom takes from a row what the hot set did not hold. Under Consumer.mu.
func (d *Delivery) fillFrom(r task.Row) error {
	d.takeExpiry(r.ExpiresMS)
	d.createdMS = r.CreatedMS
	if d.nextMS == 0 { // its entry was lost
		return d.setTask(r.NextMS, r.DueMS, r.Attempt, r.Payload, r.Headers)
	}
	d.Payload = r.Payload
	return d.takeHeaders(r.Headers)
}

// deliveries returns the deliveries of us.
func deliveries(us []unread) []*Delivery {
	all := make([]*Delivery, len(us))
	for i, u := range us {
		all[i] = u.d
	}
	return all
}
