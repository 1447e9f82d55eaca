package history

import (
	"cmp"
	"slices"
)

func ms(us int64) float64 { return float64(us) / 1000 }

// lost: each offer (create or reschedule) that certainly took effect is delivered
// at its time unless another act may have replaced it; and a task that was
// certainly created ends with a confirm or a deletion that at least may have been.
func (c *check) lost(s *story) {
	var first, last *act
	for _, a := range s.acts {
		if !s.offered(a) {
			continue
		}
		if first == nil {
			first = a
		}
		last = a
		if !s.replaced(a) && !slices.ContainsFunc(s.got, func(d *delivery) bool { return d.dueMS == a.dueMS }) {
			c.broke(Lost, s, a.begin, "%s for %d was never delivered", a.op, a.dueMS)
			return
		}
	}
	switch {
	case s.left:
		c.broke(Lost, s, never, "its row stands at the end of the run")
	case first != nil && !s.finished():
		c.broke(Lost, s, last.begin, "its row went without a confirm, a burial or a deletion")
	}
}

// offered reports whether a certainly made an offer: it said so, or a later create
// of the same task, made as the answer was unknown, met it.
func (s *story) offered(a *act) bool {
	if a.op != Create || a.result != Unknown {
		return a.offers() && a.did()
	}
	return slices.ContainsFunc(s.acts, func(b *act) bool { return b.op == Create && b.result == Exists && b.begin > a.begin })
}

// replaced reports whether another act may have ended offer a: one that may have
// been done, and not wholly before it.
func (s *story) replaced(a *act) bool {
	return slices.ContainsFunc(s.acts, func(b *act) bool { return b != a && b.ends() && b.end > a.begin })
}

func (s *story) finished() bool {
	for _, a := range s.acts {
		if (a.op == Delete || a.op == Bury) && a.may() {
			return true
		}
	}
	for _, d := range s.got {
		for _, a := range d.answers {
			if (a.op == Confirm || a.op == ConfirmTx) && a.may() {
				return true
			}
		}
	}
	return false
}

// early: no delivery is before its due time, and a caller has asked for that due time, in no transaction that was rolled back.
func (c *check) early(s *story, d *delivery) {
	asked := slices.ContainsFunc(s.acts, func(a *act) bool { return a.offers() && a.dueMS == d.dueMS && a.begin <= d.at })
	if !asked {
		c.broke(Inexact, s, d.at, "%s was handed it for %d, which no caller had asked for", d.who, d.dueMS)
	}
	if d.at < d.dueMS*1000 {
		c.broke(Early, s, d.at, "%s was handed it %.3f ms before %d", d.who, ms(d.dueMS*1000-d.at), d.dueMS)
	}
}

// stale: promise 2. When the answer came the process knew how long its lease lives:
// that long from when it had asked.
func (c *check) stale(s *story, d *delivery) {
	if over := c.leaseEnd(d, d.claim.end); d.claim.token != "" && over <= d.claim.end {
		c.broke(Stale, s, d.at, "%s was handed it by a claim that was answered %.3f ms after its lease", d.who, ms(d.claim.end-over))
	}
}

// deleted: promise 4.
func (c *check) deleted(s *story, d *delivery) {
	for _, a := range s.acts {
		if a.op != Delete || a.tx != "" || !a.did() || a.end >= d.at || c.madeAfter(s, a.begin) || c.stopped(d.who, d.claim.end, d.at) || c.leftBehind(s, a, d) {
			continue
		}
		if a.result == OK {
			c.broke(Ghost, s, d.at, "%s was handed it %.3f ms after its Delete had returned nil", d.who, ms(d.at-a.end))
			return
		}
		if d.claim.began > a.end {
			c.broke(Ghost, s, d.at, "%s claimed it %.3f ms after its Delete had returned ErrClaimed", d.who, ms(d.claim.began-a.end))
			return
		}
	}
}

// leftBehind reports whether d may be of a task that had the ID before: a Delete of it had an unknown outcome, and its process died before the hot set
// was told. Then the ID was used again, and a deleted that task. What was left behind fires once (guarantees.md).
func (c *check) leftBehind(s *story, a *act, d *delivery) bool {
	return slices.ContainsFunc(s.acts, func(b *act) bool {
		ended, is := c.ended[b.who]
		if b.op != Delete || b.result != Unknown || !is || ended > d.at {
			return false
		}
		again := slices.ContainsFunc(s.acts, func(m *act) bool { return m.creates() && m.begin > b.begin && m.begin < a.begin })
		since := slices.ContainsFunc(s.acts, func(m *act) bool { return m.offers() && m.dueMS == d.dueMS && m.begin > b.told })
		return again && !since
	})
}

// inHand: promise 4. A Delete tells of what a handler has, unless its lease may be over,
// it has answered, or Redis had lost data. A Confirm that meanwhile was told that the row is
// gone is no answer: what had it when the row went was that handler.
func (c *check) inHand(s *story, d *delivery) {
	for _, a := range s.acts {
		if a.op != Delete || a.tx != "" || a.result != OK || a.begin <= d.at || c.leaseEnd(d, a.begin) <= a.end {
			continue
		}
		answered := slices.ContainsFunc(d.answers, func(b *act) bool { return b.answered(a) })
		ended, is := c.ended[d.who]
		if answered || is && ended <= a.end || c.madeAfter(s, d.at) || c.lossSince(s, d.claim.began, a.end) {
			continue
		}
		c.broke(Untrue, s, a.begin, "its Delete returned nil %.3f ms after %s was handed it, which had not answered by then, or was told that the row is gone", ms(a.end-d.at), d.who)
		return
	}
}

// answered reports whether b, an answer of a delivery, may have been one by the end of a deletion a.
func (b *act) answered(a *act) bool {
	return b.begin <= a.end && b.result != Aborted && (!b.confirms() && b.op != Settle || b.result != Gone || b.end < a.begin)
}

// madeAfter reports whether a create may have made the task anew after that moment,
// at which its row had been removed: one that was called again, or one that asked
// MySQL again as an answer was lost.
func (c *check) madeAfter(s *story, at int64) bool {
	n := 0
	for _, a := range s.acts {
		if a.creates() {
			n++
		}
	}
	return slices.ContainsFunc(s.acts, func(a *act) bool {
		return a.creates() && a.end > at && (n > 1 || a.tx == "" && c.blurred(a))
	})
}

// blurred reports whether answers of MySQL may have been lost during a.
func (c *check) blurred(a *act) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.blurs && f.hits(a.who) && f.begin <= a.end && f.end >= a.begin })
}

// untrue: a row is removed once, and what says that it removed it did. What runs in a transaction of a caller is not tried
// again, so that no lost answer excuses it. Of two transactions that confirm it once has the rule.
func (c *check) untrue(s *story) {
	for _, d := range s.got {
		for _, a := range d.answers {
			if a.op == Confirm && a.result == OK && !c.blurred(a) || a.op == ConfirmTx && a.result == OK {
				c.confirmedOld(s, d, a)
			}
		}
	}
	removals := s.removals()
	for _, a := range removals {
		for _, b := range removals {
			if a.end >= b.begin || a.op == ConfirmTx && b.op == ConfirmTx || c.madeAfter(s, a.begin) || b.tx == "" && c.blurred(b) {
				continue
			}
			c.broke(Untrue, s, b.begin, "%s of %s returned nil, %.3f ms after the row was gone by a %s", b.op, b.who, ms(b.begin-a.end), a.op)
			return
		}
	}
}

// confirmedOld: a, by which d was confirmed, did not come after the task had been rescheduled.
func (c *check) confirmedOld(s *story, d *delivery, a *act) {
	for _, m := range s.acts {
		if m.moves() && m.did() && m.end < a.begin && m.dueMS != d.dueMS && !s.askedLater(m, d.dueMS) {
			c.broke(Untrue, s, a.begin, "%s confirmed what had been rescheduled to %d %.3f ms before", a.who, m.dueMS, ms(a.begin-m.end))
		}
	}
}

// removals are the acts and answers that certainly removed a row, or were told that it is gone as they had removed it. A
// version that is buried again is dead, and is told to be.
func (s *story) removals() (all []*act) {
	buried := map[int64]bool{}
	for _, a := range s.acts {
		if a.did() && (a.op == Delete || a.op == Bury && !buried[a.ver]) {
			buried[a.ver] = a.op == Bury
			all = append(all, a)
		}
	}
	for _, d := range s.got {
		for _, a := range d.answers {
			if (a.op == Confirm || a.op == ConfirmTx) && a.result == OK {
				all = append(all, a)
			}
		}
	}
	return all
}

// askedLater reports whether an offer at that time may have come after m.
func (s *story) askedLater(m *act, dueMS int64) bool {
	return slices.ContainsFunc(s.acts, func(b *act) bool { return b.offers() && b.dueMS == dueMS && b.end > m.begin })
}

// rescheduled: after a Reschedule no claim at the old time.
func (c *check) rescheduled(s *story, d *delivery) {
	for _, a := range s.acts {
		if !a.moves() || a.tx != "" || !a.did() || d.claim.began <= a.end || a.dueMS == d.dueMS {
			continue
		}
		if !s.askedLater(a, d.dueMS) {
			c.broke(Ghost, s, d.at, "%s claimed it for %d, %.3f ms after it had been rescheduled to %d", d.who, d.dueMS, ms(d.claim.began-a.end), a.dueMS)
			return
		}
	}
}

// settled is how long after a Confirm what was known before it may still raise the
// task, if Redis loses the tombstones: 10 s, and until the next claim.
const settled = 15_000_000

// done: no claim after p's Confirm had returned nil, unless p's lease had run out
// before, or Redis had lost data by then. (A loss soon after takes the tombstone.)
func (c *check) done(s *story, p, d *delivery) {
	for _, a := range p.answers {
		if a.confirms() && a.result == OK && !c.madeAfter(s, p.at) && c.raised(p, a, d) {
			c.broke(AfterDone, s, d.at, "%s claimed it %.3f ms after its %s by %s had returned nil", d.who, ms(d.claim.began-a.end), a.op, p.who)
		}
	}
}

// raised reports whether d was claimed after a had ended the task, and neither the end of the lease under which p had
// it nor a loss of data explains that.
func (c *check) raised(p *delivery, a *act, d *delivery) bool {
	if d.claim.began <= a.end {
		return false
	}
	loss := c.lossBetween(p.claim.began, min(d.claim.end, a.end+settled))
	if loss && d.claim.began > a.end+settled {
		loss = c.lossBetween(p.claim.began, a.end)
	}
	return c.leaseEnd(p, a.end) > a.end && !loss
}

// again: promise 3, and a rollback's delay.
func (c *check) again(s *story, p, d *delivery) {
	switch c.cause(s, p, d) {
	case "":
		c.broke(Unexplained, s, d.at, "%s was handed it %.3f ms after %s was, whose lease lived for another %.3f ms at least", d.who, ms(d.at-p.at), p.who,
			ms(c.leaseEnd(p, d.claim.end)-d.claim.end))
	case RolledBack:
		for _, a := range p.answers {
			if a.op != Rollback || a.result != OK || d.at >= a.begin+a.delayMS*1000 {
				continue
			}
			if c.leaseEnd(p, a.end) > a.end && !c.lossSince(s, p.claim.began, d.at) {
				c.broke(Early, s, d.at, "%s was handed it %.3f ms before the delay of its rollback was over", d.who, ms(a.begin+a.delayMS*1000-d.at))
			}
		}
	}
}

func (c *check) duplicate(s *story, p, d *delivery) {
	if p == nil {
		return
	}
	c.v.Duplicates++
	c.v.Causes[cmp.Or(c.cause(s, p, d), Unexplained)]++
}

// givenUp: a Confirm or Discard that was told no outcome, by a process that had not been told to end.
func (c *check) givenUp(s *story, d *delivery) {
	for _, a := range d.answers {
		if a.op != Confirm && a.op != Discard || a.result != Unknown || a.told == never {
			continue
		}
		if ending, is := c.ending[a.who]; !is || ending > a.told {
			c.broke(GivenUp, s, a.told, "%s gave its %s up, %.3f s after it had begun, and went on", a.who, a.op, ms(a.told-a.begin)/1000)
			return
		}
	}
}
