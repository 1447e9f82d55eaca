package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// Claims from several partitions are under way at the same time. Each takes a round trip, and partitions may be on several servers, one of which may be
// slow or hang. So a task is late by one round trip however many partitions are to be looked at, if callers want as many tasks; and a partition that hangs
// holds up the others for answerSoon at most, unless it was asked for all that MaxRate allows or Queue has room for: it may take that at any moment.
//
// Invariants:
//
//	A1  A partition has at most one claim under way, because its token names one batch.
//	A2  What claims under way may take is not wanted a second time, until there is no answer after answerSoon: then this process may get more tasks than
//	    callers wait for. What MaxRate allows and Queue has room for is never given to two claims.
//	A3  A wake-up that comes while a claim is under way counts after its answer: the member may have come after the claim.
//	A4  The claim loop ends after the last answer has come, so that the drain gives back what it has taken.
//	A5  What a claim has taken is a batch of this process before its answer reaches the loop, which may be busy: its lease is kept, and it is registered
//	    after a loss of data.
//
// All fields belong to the claim loop's goroutine, except that call fills in an asking before it reaches answers. With one partition the loop makes the
// calls itself: there is nothing else to ask meanwhile.

// answerSoon is how long an answer is expected to take at most.
const answerSoon = 100 * time.Millisecond

// asking is a claim that is under way, or has been answered.
type asking struct {
	p              int
	req            task.ClaimRequest
	sent, answered time.Time
	woken          bool // the partition is to be looked at again at once (A3)
	roomMade       bool // the same, if MaxInFlight left no more to this claim
	b              task.Batch
	batch          *batch // nil: nothing was taken
	err            error
}

// share takes from left what one of so many partitions gets of it, which is a like part, rounded up.
func share(left *int, among int) int {
	n := (max(0, *left) + among - 1) / among
	*left -= n
	return n
}

// underWay is how many tasks the claims under way may take.
type underWay struct {
	soon      int // those that were sent less than answerSoon ago
	late      int // the others
	ahead     int // of soon, ahead
	uncounted int // what pace has not counted, of all
}

func (l *claimer) underWay() (u underWay) {
	for p, a := range l.asking {
		if a == nil {
			continue
		}
		u.uncounted += max(0, a.req.Limit-l.unanswered[p])
		if time.Since(a.sent) < answerSoon {
			u.soon += a.req.Limit
			u.ahead += a.req.AheadLimit
		} else {
			u.late += a.req.Limit
		}
	}
	return u
}

// wanted is how many tasks callers want and the queue has room for (Consumer.wanted), and how many of them MaxRate allows now; less what is under way (A2).
func (l *claimer) wanted(now time.Time) (wanted, allowed int) {
	u := l.underWay()
	wanted, room := l.c.wanted()
	if wanted = min(wanted-u.soon, room-u.soon-u.late); wanted <= 0 {
		return wanted, 0
	}
	if l.pace.interval == 0 {
		return wanted, wanted
	}
	return wanted, l.pace.allow(wanted+u.uncounted, now) - u.uncounted
}

// ahead is how many members may be taken ahead now (Consumer.ahead), less what is under way (A2).
func (l *claimer) ahead() int { return max(0, l.c.ahead()-l.underWay().ahead) }

// round claims up to n tasks from the partitions that are to be looked at, a like share from each, and repeats claims that have no answer yet.
func (l *claimer) round(ctx context.Context, n int) {
	l.first++
	lead, ahead := l.lead(), l.ahead()
	var ready []int
	for i := range l.tokens {
		p := (l.first + i) % len(l.tokens)
		if l.asking[p] == nil && max(n, l.unanswered[p]) > 0 && !time.Now().Before(l.at(p, lead)) {
			ready = append(ready, p)
		}
	}
	for i, p := range ready {
		most, far := max(share(&n, len(ready)-i), l.unanswered[p]), share(&ahead, len(ready)-i)
		if most > 0 && (far > 0 || !time.Now().Before(l.next[p])) {
			l.ask(ctx, p, most, far)
		}
	}
}

// ask claims up to n tasks from a partition that has no claim under way (A1), up to so many of them ahead.
func (l *claimer) ask(ctx context.Context, p, n, ahead int) {
	if l.tokens[p] == "" {
		l.tokens[p] = rand.Text()
	}
	l.woken = false
	failpoint.Hit("claim/take")
	a := &asking{p: p, sent: time.Now(), req: l.c.request(p, l.tokens[p], n, ahead)}
	if l.rates[p].slow() {
		a.req.Ahead, a.req.AheadLimit = 0, 0
	}
	if len(l.tokens) == 1 {
		l.c.call(ctx, a)
		l.take(ctx, a)
		return
	}
	l.asking[p] = a
	go func() {
		l.c.call(ctx, a)
		l.answers <- a // has room for one of each partition
	}()
}

// call makes the call of a, and notes the batch that it has taken (A5). The end of ctx does not cut it off.
func (c *Consumer) call(ctx context.Context, a *asking) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimTimeout)
	defer cancel()
	a.b, a.err = c.set.Claim(ctx, a.p, a.req)
	a.answered = time.Now()
	if a.err == nil && len(a.b.Claims) > 0 {
		failpoint.Hit("claim/hand")
		a.batch = c.addBatch(a.p, a.b, a.sent, a.answered)
	}
}

// take takes what a claim has got, and notes when to look at its partition again.
func (l *claimer) take(ctx context.Context, a *asking) {
	p, b, err, now := a.p, a.b, a.err, a.answered
	l.asking[p] = nil
	if err == nil && (a.woken || a.roomMade && b.Full) {
		defer l.lookAt(p, time.Time{})
	}
	l.more[p] = err == nil && b.MoreDue() && !b.Limited()
	l.noteBacklog() // before the first of them is handed out, and confirmed
	l.count(p, a.req.Limit, len(b.Claims), err == nil)
	switch {
	case errors.Is(err, task.ErrCold):
		l.lookAt(p, now.Add(coldSleep))
		return
	case err != nil:
		l.rest = min(max(2*l.rest, claimRetry), mostClaimRetry)
		l.lookAt(p, now.Add(l.rest))
		l.c.o.Report.Error("claim", err, "claim again", "partition", p)
		return
	}
	l.rest = 0
	l.c.observe(b, a.sent, now)
	l.rates[p].note(clockTimes{lastReading(b), a.sent, now})
	l.c.notePause(ctx, b.Pause)
	if a.req.Limit > 0 && !b.Limited() {
		l.noteStarved(len(b.Claims), now)
	}
	l.plan(p, a.req, b, now)
	if a.batch != nil {
		l.tokens[p] = ""
		l.c.tellClaimed(a.batch)
		l.c.accept(ctx, a.batch, b.Claims)
	}
}

// takeReady takes what the claims have got that have an answer.
func (l *claimer) takeReady(ctx context.Context) {
	for {
		select {
		case a := <-l.answers:
			l.take(ctx, a)
		default:
			return
		}
	}
}

// takeAll waits for the claims that are under way, and takes what they get (A4).
func (l *claimer) takeAll(ctx context.Context) {
	for slices.ContainsFunc(l.asking, func(a *asking) bool { return a != nil }) {
		l.take(ctx, <-l.answers)
	}
}
