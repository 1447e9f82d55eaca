package consumer

import (
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// plan notes when to look at partition p next, after b, the answer to a claim.
func (l *claimer) plan(p int, req task.ClaimRequest, b task.Batch, now time.Time) {
	at, offers := now.Add(never), time.Time{} // no member waits
	l.full[p] = b.Full
	switch {
	case b.Full:
		at = now.Add(fullSleep)
	case b.AgainMS > 0:
		at = l.c.local(b.AgainMS)
	case b.Limited(): // a pause
		at = l.c.local(b.Pause.UntilMS)
	case b.NextMS > 0:
		offers = l.c.local(b.NextMS)
		at = offers
	}
	if l.more[p] {
		at = minTime(at, now.Add(coldSleep)) // soon, because confirms yield until a claim tells that no more is due
	}
	if len(b.Claims) < req.Limit {
		at = maxTime(at, now.Add(shortestSleep))
	}
	l.lookAt(p, at)
	l.offers[p], l.asked[p] = offers, now
}

// lead is how long before its next member is due a partition is looked at: 0 if nothing may be claimed ahead now.
func (l *claimer) lead() time.Duration {
	if l.ahead() == 0 {
		return 0
	}
	return min(aheadLead, l.c.o.Ahead)
}

// at is when partition p is to be looked at, with that lead.
func (l *claimer) at(p int, lead time.Duration) time.Time {
	if lead == 0 || l.offers[p].IsZero() || l.rates[p].slow() {
		return l.next[p]
	}
	return minTime(l.next[p], maxTime(l.offers[p].Add(-lead), l.asked[p].Add(shortestSleep)))
}
