package consumer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// queuedFor is how long a task may wait in the local queue before others may
	// have it: a slow process does not hoard.
	queuedFor = time.Second
	// longestSleep bounds what a lost wake-up costs. It is shorter than task.QuietFor, so that a partition that was quiet
	// is asked before anything is offered that was there then.
	longestSleep = 8 * time.Second
	// never is how far off a look is that only longestSleep brings.
	never = 365 * 24 * time.Hour
	// shortestSleep between claims that found less than was wanted: due times
	// are whole milliseconds.
	shortestSleep = time.Millisecond
	// coldSleep is how long a partition is left to the feeder that is cold, or that has
	// not loaded all that is due.
	coldSleep = 50 * time.Millisecond
	// starvedFor is after how long confirms stop yielding: for that time claims got nothing, though
	// rows are due that are not loaded yet. The hot set may be full of what the confirms would remove.
	starvedFor = 100 * time.Millisecond
	// claimRetry is how soon a partition is asked again whose claim failed. It doubles with each
	// failure, up to mostClaimRetry.
	claimRetry     = 50 * time.Millisecond
	mostClaimRetry = time.Second
	// claimTimeout bounds a claim, which the end of Run does not cut off: what
	// it takes would lie about until its lease has expired.
	claimTimeout = 2 * time.Second
)

// recent counts what was settled in the last 250 ms, in slots of 50 ms.
type recent struct {
	slots [5]int
	slot  int64
}

const slotLength = 50 * time.Millisecond

func (r *recent) add(n int) {
	r.turn()
	r.slots[r.slot%int64(len(r.slots))] += n
}

func (r *recent) sum() (n int) {
	r.turn()
	for _, s := range r.slots {
		n += s
	}
	return n
}

func (r *recent) turn() {
	now := time.Now().UnixNano() / int64(slotLength)
	for k := max(r.slot+1, now-int64(len(r.slots))+1); k <= now; k++ {
		r.slots[k%int64(len(r.slots))] = 0
	}
	r.slot = max(r.slot, now)
}

// wanted is how many tasks to claim: as many as callers wait for, and as many more
// as were settled in the last 250 ms, less what is queued. None while more than
// half of that is queued and no caller waits: claims are to be few and large. room is how many the queue has room for.
func (c *Consumer) wanted() (wanted, room int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	has := c.queue.len() + c.raising
	target := min(len(c.waiters)+c.settledLately.sum(), c.o.Queue)
	c.low = target / 2
	if len(c.waiters) == 0 && c.queue.len() > c.low || c.unasked >= mostUnasked {
		return 0, 0
	}
	return target - has, c.o.Queue - has
}

// claimer is the state of the claim loop. A token that failed is kept: the next
// claim of its partition finds the batch, should the lost claim have made it.
type claimer struct {
	c          *Consumer
	tokens     []string
	next       []time.Time // when each partition is to be looked at, local clock, if nothing may be claimed ahead
	due        []time.Time // the same without longestSleep: what the last claim told of; zero after a wake-up
	offers     []time.Time // by partition: when the first member that waits is offered; zero: that is no reason to look
	asked      []time.Time // when each partition was asked last
	rates      []rateWatch // by partition: whether its clock is slow, so that nothing is claimed ahead
	first      int         // partition to begin with
	rest       time.Duration
	more       []bool    // by partition: the last claim has left some that are due, and may be claimed
	full       []bool    // by partition: MaxInFlight left no more to the last claim
	pace       pace      // of all claims
	unanswered []int     // by partition: what pace has counted for a claim that failed, and may have taken a batch nevertheless
	asking     []*asking // by partition: the claim that is under way, nil if none is
	answers    chan *asking
	woken      bool      // a wake-up came, and no claim has followed
	probed     time.Time // when probe asked last
	lastGot    time.Time // when a claim got something last, or nothing was confirmed
}

func newClaimer(c *Consumer) *claimer {
	n := c.o.Partitions
	return &claimer{c: c, tokens: make([]string, n), next: make([]time.Time, n), due: make([]time.Time, n), offers: make([]time.Time, n),
		asked: make([]time.Time, n), rates: make([]rateWatch, n), more: make([]bool, n), full: make([]bool, n), pace: newPace(c.o.MaxRate),
		unanswered: make([]int, n), asking: make([]*asking, n), answers: make(chan *asking, n)}
}

// claimLoop claims until ctx ends. It sleeps until the next due time that a claim
// told of, an earlier member's wake-up, or a caller that waits.
func (c *Consumer) claimLoop(ctx context.Context, wake <-chan struct{}) {
	l := newClaimer(c)
	defer func() {
		l.takeAll(ctx)
		clear(l.more)
		l.noteBacklog()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-c.nudge:
		case a := <-l.answers:
			l.take(ctx, a)
		case <-wake:
			l.lookAtAll()
			l.woken = true
		case p := <-c.quiet:
			l.putOff(p)
		case <-c.room:
			l.roomMade()
		case <-c.o.PauseNoted:
			l.lookAtAll()
			c.notePause(ctx, c.o.Pause())
		}
		l.takeReady(ctx)
		if wanted, allowed := l.wanted(time.Now()); wanted > 0 {
			l.round(ctx, allowed)
		}
		again := l.probe(func(p int) { l.ask(ctx, p, 0, 0) })
		stale := c.returnStale(ctx) // which may take its time
		timer.Reset(min(l.sleep(), stale, again))
	}
}

// lookAt has partition p be looked at then, or after longestSleep if that is sooner.
func (l *claimer) lookAt(p int, at time.Time) {
	l.due[p], l.offers[p] = at, time.Time{}
	l.putOff(p)
}

// lookAtAll has all partitions be looked at now.
func (l *claimer) lookAtAll() {
	for _, a := range l.asking {
		if a != nil {
			a.woken = true
		}
	}
	clear(l.due)
	clear(l.next)
}

// putOff notes that a feeder has met partition p quiet, as a claim now would: longestSleep begins anew. A look that is due by what a
// claim told, or that a wake-up asked for, stays.
func (l *claimer) putOff(p int) { l.next[p] = minTime(l.due[p], time.Now().Add(longestSleep)) }

// noteQuiet has the claim loop put its look at p off. It forgets that if the loop is busy.
func (c *Consumer) noteQuiet(p int) {
	select {
	case c.quiet <- p:
	default:
	}
}

// noteBacklog notes whether tasks that are due wait to be delivered.
func (l *claimer) noteBacklog() {
	if slices.Contains(l.more, true) {
		l.c.backlog.grow()
	} else if l.c.backlog.end() {
		l.c.settler.asyncs.Ask()
	}
}

// noteStarved notes that a claim got so many. A burst that only confirms can make room for is
// a long backlog.
func (l *claimer) noteStarved(got int, now time.Time) {
	l.c.mu.Lock()
	confirming := l.c.settling > 0
	l.c.mu.Unlock()
	if got > 0 || !confirming {
		l.lastGot = now
	} else if now.Sub(l.lastGot) >= starvedFor && l.c.backlog.starve() {
		l.c.settler.asyncs.Ask()
	}
}

// sleep is how long nothing will be due.
func (l *claimer) sleep() time.Duration {
	d, now := longestSleep, time.Now()
	wanted, allowed := l.wanted(now)
	if wanted <= 0 {
		for _, a := range l.asking {
			if a != nil && now.Before(a.sent.Add(answerSoon)) {
				d = min(d, a.sent.Add(answerSoon).Sub(now)) // until what it may take is wanted again
			}
		}
		return d
	}
	if allowed <= 0 {
		d = min(d, l.pace.next(l.underWay().uncounted).Sub(now))
	}
	lead := l.lead()
	for p := range l.next {
		if l.asking[p] == nil && (allowed > 0 || l.unanswered[p] > 0) {
			d = min(d, time.Until(l.at(p, lead)))
		}
	}
	return max(d, 0)
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// clockReading is one reading of the hot set's clock. It is tied to the local monotonic
// clock, which does not step when the machine's time is set.
type clockReading struct {
	us        int64            // what the hot set's clock said
	sent, mid time.Time        // when it was asked, and in the middle of that and the answer
	clock     func() time.Time // nil: time.Now; otherwise a clock of whole milliseconds, which Step was handed
}

// since is how long ago t was.
func (r clockReading) since(t time.Time) time.Duration {
	if r.clock != nil {
		return r.clock().Sub(t)
	}
	return time.Since(t)
}

// observe notes what the hot set's clock said. The truth lies within half the
// round trip of mid.
func (c *Consumer) observe(b task.Batch, sent, now time.Time) {
	way := now.Sub(sent) // there and back
	if b.ClockUS > b.AsOf.TimeUS {
		way -= time.Duration(b.ClockUS-b.AsOf.TimeUS) * time.Microsecond
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = clockReading{us: b.AsOf.TimeUS, sent: sent, mid: sent.Add(max(0, way) / 2)}
}

// local is the local time at which the hot set's clock says ms, about.
func (c *Consumer) local(ms int64) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading.mid.Add(time.UnixMilli(ms).Sub(time.UnixMicro(c.reading.us)))
}

// now is what the hot set's clock says, about; the local time before the first
// claim.
func (r clockReading) now() time.Time {
	if r.us == 0 {
		return time.Now()
	}
	return time.UnixMicro(r.us).Add(r.since(r.mid))
}

// latest is no earlier than what the hot set's clock says: that was read after it
// was asked for.
func (r clockReading) latest() time.Time {
	if r.us == 0 {
		return time.Now()
	}
	return time.UnixMicro(r.us).Add(r.since(r.sent))
}

// latest is no earlier than what the hot set's clock says now, so that a delay is not cut short.
func (c *Consumer) latest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading.latest()
}

// after is the millisecond, by the hot set's clock, in which a delay that begins now is over. A part of a millisecond
// counts as one; of a clock that is only known about, so does a whole one.
func (c *Consumer) after(delay time.Duration) int64 {
	round := time.Millisecond
	c.mu.Lock()
	if c.reading.clock != nil {
		round--
	}
	c.mu.Unlock()
	return c.latest().Add(delay + round).UnixMilli()
}

// giveBack gives members of one batch back to the hot set, and takes them out of the batch here. The
// keeper retries a call that fails.
func (c *Consumer) giveBack(ctx context.Context, b *batch, ds []*Delivery, r task.ReleaseRequest) {
	c.mu.Lock()
	r.Token = b.token
	for _, d := range ds {
		if d.life.inBatch() {
			r.Refs = append(r.Refs, d.own)
			r.NotBeforeMS = max(r.NotBeforeMS, d.offerMS)
			c.leaveBatch(d)
		}
	}
	c.mu.Unlock()
	if len(r.Refs) == 0 {
		return
	}
	if !c.sendRelease(ctx, b, r) {
		c.queueRelease(b, r)
	}
}

// sendRelease reports whether the hot set has answered, also that it is cold, because
// there is no batch then. A member whose delay ends beyond the horizon stays in its batch. Its
// release is queued without that delay: the keeper's next beat is about as late.
func (c *Consumer) sendRelease(ctx context.Context, b *batch, r task.ReleaseRequest) bool {
	ctx, cancel := context.WithTimeout(ctx, hotTimeout)
	defer cancel()
	outcomes, err := c.set.Release(ctx, b.p, r)
	if err == nil || errors.Is(err, task.ErrCold) {
		var beyond []task.Ref
		for i, o := range outcomes {
			if o == task.ReleaseBeyond {
				beyond = append(beyond, r.Refs[i])
			}
		}
		if len(beyond) > 0 {
			c.queueRelease(b, task.ReleaseRequest{Token: r.Token, Refs: beyond, AtNext: true, NotBeforeMS: r.NotBeforeMS})
		}
		return true
	}
	c.o.Report.Error("give tasks back", err, "tried again while their lease lives", "tasks", len(r.Refs))
	return false
}

// returnStale gives back what has waited in the queue for too long, and returns
// when to look again.
func (c *Consumer) returnStale(ctx context.Context) time.Duration {
	byBatch := map[*batch][]*Delivery{}
	again := longestSleep
	c.mu.Lock()
	for c.queue.len() > 0 {
		d := c.queue.first()
		if left := queuedFor - time.Since(d.since); d.life.inBatch() && left > 0 {
			again = left
			break
		}
		c.queue.pop()
		byBatch[d.batch] = append(byBatch[d.batch], d)
	}
	c.mu.Unlock()
	c.returnQueued(ctx, byBatch)
	return again
}

// returnQueued gives back what was in the queue, without an attempt counted.
func (c *Consumer) returnQueued(ctx context.Context, byBatch map[*batch][]*Delivery) {
	for b, ds := range byBatch {
		failpoint.Hit("return/release")
		c.giveBack(context.WithoutCancel(ctx), b, ds, task.ReleaseRequest{AtNext: true})
		failpoint.Hit("return/end")
	}
}
