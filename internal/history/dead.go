package history

import (
	"slices"
	"strings"
)

// Reasons of dead letters.
const (
	reasonExpired  = "expired"
	reasonAttempts = "attempts"
	reasonDiscard  = "discarded"
)

// buried: each burial has a reason that holds, and no delivery is claimed after it.
func (c *check) buried(s *story) {
	for _, b := range s.acts {
		if b.op != Bury || !b.may() {
			continue
		}
		c.reason(s, b)
		if !b.did() || b.claim.token == "" || c.madeAfter(s, b.begin) {
			continue
		}
		had := &delivery{who: b.who, claim: b.claim}
		for _, d := range s.got {
			if c.raised(had, b, d) {
				c.broke(AfterDone, s, d.at, "%s claimed it %.3f ms after %s had buried it", d.who, ms(d.claim.began-b.end), b.who)
				return
			}
		}
	}
}

// reason: a task dies of its attempts once it had them all, of its time once that is over, and by a handler that gave it up.
func (c *check) reason(s *story, b *act) {
	switch {
	case b.reason == reasonAttempts && b.attempt < c.MaxAttempts:
		c.broke(Untrue, s, b.begin, "%s buried it after %d attempts, %d are allowed", b.who, b.attempt, c.MaxAttempts)
	case b.reason == reasonAttempts && b.attempt > s.claimsBy(b.begin)+c.blindBetween(s.began(), b.begin):
		c.broke(Untrue, s, b.begin, "%s buried it after %d attempts, and it was claimed %d times", b.who, b.attempt, s.claimsBy(b.begin))
	case b.reason == reasonExpired && !s.expiresBy(b.begin+c.Lease.Microseconds()):
		c.broke(Early, s, b.begin, "%s buried it because it had expired, which it had not", b.who)
	case strings.HasPrefix(b.reason, reasonDiscard) && !s.discarded(b):
		c.broke(Inexact, s, b.begin, "%s buried it because its handler had given it up, which none had", b.who)
	}
}

// began is when the first act began, 0 if there is none.
func (s *story) began() int64 {
	if len(s.acts) == 0 {
		return 0
	}
	return s.acts[0].begin
}

// claimsBy is how many claims took the task up to then.
func (s *story) claimsBy(at int64) (n int) {
	for _, c := range s.claims {
		if c.end <= at {
			n++
		}
	}
	return n
}

// heldBack is for how long the network holds a request back at most, in microseconds: torture's longest is 33 s, and what the fault takes.
const heldBack = 45_000_000

// blindBetween is how many claims may have come to Redis in that time whose members no line tells: those that were sent in it, and those
// that were sent before, if what was held back arrived in it.
func (c *check) blindBetween(from, to int64) int {
	if slices.ContainsFunc(c.faults, func(f *fault) bool { return f.kind == "laterequest" && f.begin <= to && f.end >= from }) {
		from -= heldBack
	}
	i, _ := slices.BinarySearch(c.blind, from)
	j, _ := slices.BinarySearch(c.blind, to+1)
	return max(0, j-i)
}

// expiresBy reports whether the task may have been made so that it expires before that moment.
func (s *story) expiresBy(at int64) bool {
	return slices.ContainsFunc(s.acts, func(a *act) bool { return a.creates() && a.expiresMS != 0 && a.expiresMS*1000 <= at })
}

// discarded reports whether a handler of b's process had given the task up.
func (s *story) discarded(b *act) bool {
	return slices.ContainsFunc(s.got, func(d *delivery) bool {
		return d.who == b.who && slices.ContainsFunc(d.answers, func(a *act) bool { return a.op == Discard && a.begin <= b.begin })
	})
}

// letter: the dead letters at the end are those that were buried, without those that were requeued.
func (c *check) letter(s *story) {
	if !c.ledger {
		return
	}
	there, sure, perhaps, requeued, requeuedPerhaps := map[int64]bool{}, map[int64]bool{}, map[int64]bool{}, 0, 0
	for _, e := range s.letters {
		there[e.Ver] = true
	}
	for _, a := range s.acts {
		switch {
		case a.op == Bury && a.may():
			perhaps[a.ver] = true
			sure[a.ver] = sure[a.ver] || a.did()
		case a.op == Requeue && a.did():
			requeued++
		case a.op == Requeue && a.may():
			requeuedPerhaps++
		}
	}
	missing := 0
	for ver, is := range sure {
		if is && !there[ver] {
			missing++
		}
	}
	switch {
	case missing > requeued+requeuedPerhaps:
		c.broke(Lost, s, never, "%d dead letters of it are missing, and %d were requeued", missing, requeued+requeuedPerhaps)
	case len(there) > len(perhaps)-requeued:
		c.broke(Untrue, s, never, "there are %d dead letters of it, and it was buried %d times and requeued %d times", len(there), len(perhaps), requeued)
	}
	for ver := range there {
		if !perhaps[ver] {
			c.broke(Inexact, s, never, "there is a dead letter of its version %d, which no worker buried", ver)
			return
		}
	}
}

// oneEnd: no version of a task is both done and dead.
func (c *check) oneEnd(s *story) {
	if slices.ContainsFunc(s.acts, (*act).replacesOnly) {
		return // a delivery's claim may be that of the next version
	}
	for _, d := range s.got {
		for _, a := range d.answers {
			if a.op != Confirm && a.op != ConfirmTx || a.result != OK || a.op == Confirm && c.blurred(a) {
				continue
			}
			for _, b := range s.acts {
				if b.op == Bury && b.did() && b.ver == d.claim.ver {
					c.broke(Untrue, s, b.begin, "its version %d was confirmed by %s, and buried by %s", b.ver, a.who, b.who)
					return
				}
			}
		}
	}
}

// counted: each attempt that failed counts, and one that is snoozed does not. p is the delivery before d at the same time.
func (c *check) counted(s *story, p, d *delivery) {
	a := c.givenBack(p)
	if a == nil || p.attempt == 0 || d.attempt == 0 || d.claim.began <= a.end || c.madeAfter(s, p.at) || slices.ContainsFunc(s.acts, func(b *act) bool { return b.newVersion(d.dueMS) }) {
		return
	}
	n := 1
	if a.kind == Snoozed {
		n = 0
	}
	if c.lossSince(s, p.claim.began, d.at) || c.slotMoved(p.claim.began, d.at) {
		if least := p.attempt; d.attempt < least && !c.slowRows(p.claim.began, d.at) {
			c.broke(Miscounted, s, d.at, "%s was handed it as attempt %d after a loss of data, and it had been attempt %d before", d.who, d.attempt, least)
		}
		return
	}
	if d.attempt < p.attempt+n {
		c.broke(Miscounted, s, d.at, "%s was handed it as attempt %d, and it was attempt %d of %s, which gave it back", d.who, d.attempt, p.attempt, p.who)
	}
	if c.lossSince(s, s.began(), d.at) || c.leaseEnd(p, a.end) <= a.end || c.blindBetween(p.claim.began, d.claim.end) > 0 {
		return
	}
	for _, x := range s.claims {
		if x.token != p.claim.token && x.token != d.claim.token && x.end >= p.claim.began && x.began <= d.claim.end {
			n++
		}
	}
	if d.attempt > p.attempt+n {
		c.broke(Miscounted, s, d.at, "%s was handed it as attempt %d, and at most %d have failed since attempt %d of %s", d.who, d.attempt, n, p.attempt, p.who)
	}
}

// slotMoved reports whether a slot was moving in that time: a partition whose keys lie on two servers is like one that has lost its data.
func (c *check) slotMoved(from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.kind == "slotmove" && f.begin <= to && f.end+doubt >= from })
}

// givenBack is the answer by which p certainly gave its task back, if any.
func (c *check) givenBack(p *delivery) *act {
	if p == nil {
		return nil
	}
	for _, a := range p.answers {
		if a.op == Rollback && a.result == OK {
			return a
		}
	}
	return nil
}

// quick are the kinds of faults that leave rows as quick to read and to write as before.
var quick = []string{"flushall", "scriptflush", "delkey", "clientkill", "clientpause", "oom", "redisempty", "redisold", "promote", "tworedis", "kill", "drain",
	"rolling", "clock", "masterkill", "masterpause", "failover", "sentinel", "twomasters", "slotmove"}

// slowRows reports whether a fault may have kept a worker from writing attempts to rows in that time.
func (c *check) slowRows(from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.begin <= to && f.end >= from && !slices.Contains(quick, f.kind) })
}

// expired: no handler sees a task after its Expires. The line of a delivery may come a little later than the delivery.
func (c *check) expired(s *story, d *delivery) {
	for _, a := range s.acts {
		if !a.creates() || a.dueMS != d.dueMS || a.expiresMS == 0 {
			continue
		}
		if d.expiresMS != a.expiresMS {
			c.broke(Inexact, s, d.at, "%s was handed it with Expires %d, its caller had said %d", d.who, d.expiresMS, a.expiresMS)
			return
		}
		over := d.at - a.expiresMS*1000
		if over > c.Handed.Microseconds() && !c.heldUp(d.who, a.expiresMS*1000, d.at) {
			c.broke(Expired, s, d.at, "%s was handed it %.3f ms after it had expired", d.who, ms(over))
			return
		}
	}
}

// heldUp reports whether process who did not run for a while in that time.
func (c *check) heldUp(who string, from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool {
		return (f.kind == Stop || f.kind == Starved) && f.hits(who) && f.begin <= to && f.end >= from
	})
}
