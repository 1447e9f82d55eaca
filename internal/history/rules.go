package history

import (
	"cmp"
	"slices"
	"strings"
	"time"
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
		c.broke(Lost, s, last.begin, "its row went without a confirm or a deletion")
	}
}

// offered reports whether a certainly made an offer: it said so, or a later create
// of the same task, made as the answer was unknown, met it.
func (s *story) offered(a *act) bool {
	if a.op != Create || a.result != Unknown {
		return a.op != Delete && a.did()
	}
	return slices.ContainsFunc(s.acts, func(b *act) bool { return b.op == Create && b.result == Exists && b.begin > a.begin })
}

// replaced reports whether another act may have ended offer a: one that may have
// been done, and not wholly before it.
func (s *story) replaced(a *act) bool {
	return slices.ContainsFunc(s.acts, func(b *act) bool { return b != a && b.op != Create && b.may() && b.end > a.begin })
}

func (s *story) finished() bool {
	for _, a := range s.acts {
		if a.op == Delete && a.may() {
			return true
		}
	}
	for _, d := range s.got {
		for _, a := range d.answers {
			if a.op == Confirm && a.may() {
				return true
			}
		}
	}
	return false
}

// early: no delivery before its due time; and that is one that somebody asked for.
func (c *check) early(s *story, d *delivery) {
	asked := slices.ContainsFunc(s.acts, func(a *act) bool { return a.op != Delete && a.dueMS == d.dueMS && a.begin <= d.at })
	if !asked {
		c.broke(Inexact, s, d.at, "%s was handed it for %d, which nobody had asked for", d.who, d.dueMS)
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
		if a.op != Delete || !a.did() || a.end >= d.at || c.madeAfter(s, a.begin) || c.stopped(d.who, d.claim.end, d.at) {
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

// inHand: promise 4. A Delete tells of what a handler has, unless its lease may be over,
// it has answered, or Redis had lost data.
func (c *check) inHand(s *story, d *delivery) {
	for _, a := range s.acts {
		if a.op != Delete || a.result != OK || a.begin <= d.at || c.leaseEnd(d, a.begin) <= a.end {
			continue
		}
		answered := slices.ContainsFunc(d.answers, func(b *act) bool { return b.begin <= a.end })
		ended, is := c.ended[d.who]
		if answered || is && ended <= a.end || c.madeAfter(s, d.at) || c.lossSince(s, d.claim.began, a.end) {
			continue
		}
		c.broke(Untrue, s, a.begin, "its Delete returned nil %.3f ms after %s was handed it, which had not answered yet", ms(a.end-d.at), d.who)
		return
	}
}

// madeAfter reports whether a create may have made the task anew after that moment,
// at which its row had been removed: one that was called again, or one that asked
// MySQL again as an answer was lost.
func (c *check) madeAfter(s *story, at int64) bool {
	n := 0
	for _, a := range s.acts {
		if a.op == Create && a.may() {
			n++
		}
	}
	return slices.ContainsFunc(s.acts, func(a *act) bool {
		return a.op == Create && a.may() && a.end > at && (n > 1 || c.blurred(a))
	})
}

// blurred reports whether answers of MySQL may have been lost during a.
func (c *check) blurred(a *act) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.blurs && f.hits(a.who) && f.begin <= a.end && f.end >= a.begin })
}

// untrue: a row is removed once, and what says that it removed it did.
func (c *check) untrue(s *story) {
	var removals []*act
	for _, a := range s.acts {
		if a.op == Delete && a.did() {
			removals = append(removals, a)
		}
	}
	for _, d := range s.got {
		for _, a := range d.answers {
			if a.op != Confirm || a.result != OK {
				continue
			}
			removals = append(removals, a)
			for _, m := range s.acts {
				if m.op == Reschedule && m.did() && m.end < a.begin && m.dueMS != d.dueMS && !s.askedLater(m, d.dueMS) && !c.blurred(a) {
					c.broke(Untrue, s, a.begin, "%s confirmed what had been rescheduled to %d %.3f ms before", a.who, m.dueMS, ms(a.begin-m.end))
				}
			}
		}
	}
	for _, a := range removals {
		for _, b := range removals {
			if a.end < b.begin && !c.madeAfter(s, a.begin) && !c.blurred(b) {
				c.broke(Untrue, s, b.begin, "%s of %s returned nil, %.3f ms after the row was gone by a %s", b.op, b.who, ms(b.begin-a.end), a.op)
				return
			}
		}
	}
}

// askedLater reports whether an offer at that time may have come after m.
func (s *story) askedLater(m *act, dueMS int64) bool {
	return slices.ContainsFunc(s.acts, func(b *act) bool { return b.op != Delete && b.may() && b.dueMS == dueMS && b.end > m.begin })
}

// stopped reports whether process who was stopped for a while between from and
// to: what it began before that, its line tells only afterwards.
func (c *check) stopped(who string, from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.kind == Stop && f.target == who && f.begin <= to && f.end >= from })
}

// Kinds of faults that the rules know.
const (
	Stop    = "stop"    // stops a process and lets it go on later
	Starved = "starved" // nobody's will: the machine did not let a process run
)

// rescheduled: after a Reschedule no claim at the old time.
func (c *check) rescheduled(s *story, d *delivery) {
	for _, a := range s.acts {
		if a.op != Reschedule || !a.did() || d.claim.began <= a.end || a.dueMS == d.dueMS {
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
		if a.op != Confirm || a.result != OK || d.claim.began <= a.end || c.madeAfter(s, p.at) {
			continue
		}
		loss := c.lossBetween(p.claim.began, min(d.claim.end, a.end+settled))
		if loss && d.claim.began > a.end+settled {
			loss = c.lossBetween(p.claim.began, a.end)
		}
		if c.leaseEnd(p, a.end) > a.end && !loss {
			c.broke(AfterDone, s, d.at, "%s claimed it %.3f ms after its Confirm by %s had returned nil", d.who, ms(d.claim.began-a.end), p.who)
		}
	}
}

// leaseEnd is until when p's lease lived at least, by the renewals that were sent
// up to then and succeeded.
func (c *check) leaseEnd(p *delivery, by int64) int64 {
	return c.renewed(p, by) + c.Lease.Microseconds()
}

// kept is when the last renewal was sent that p's holder can have gone by: if the
// one before was a lease ago when the answer to the last came, he found the lease
// over by his own clock, and let it go, just as the last one succeeded.
func (c *check) kept(p *delivery, by int64) int64 {
	last := c.renewal(p, by)
	if before := c.renewed(p, last.sent-1); last.told+heeded-before > c.Lease.Microseconds() {
		return before
	}
	return last.sent
}

// heeded is for how long after the line of an answer a process may not have acted on
// it yet: 10 ms.
const heeded = 10_000

// renewed is when the last claim or renewal up to then was sent that succeeded.
func (c *check) renewed(p *delivery, by int64) int64 { return c.renewal(p, by).sent }

func (c *check) renewal(p *delivery, by int64) renewal {
	last := renewal{p.claim.began, p.claim.end}
	for _, r := range c.leases[lease{p.claim.who, p.claim.token}] {
		if r.sent <= by && r.sent > last.sent {
			last = r
		}
	}
	return last
}

func (c *check) lossBetween(from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.loses && f.begin <= to && f.end >= from })
}

// lossSince reports whether Redis lost data in that time, or a part of its data
// since the task was made: without its record a member is offered twice even if it
// was claimed later.
func (c *check) lossSince(s *story, from, to int64) bool {
	for _, a := range s.acts {
		if a.op == Create && a.may() {
			made := a.begin
			if slices.ContainsFunc(c.faults, func(f *fault) bool { return f.partly && f.begin <= to && f.end >= made }) {
				return true
			}
		}
	}
	return c.lossBetween(from, to)
}

// Causes of a second delivery.
const (
	CreatedAgain = "created again"
	RolledBack   = "rollback"
	LostData     = "redis lost data"
	UnknownEnd   = "answer unknown"
	LeaseCrash   = "lease ran out: its worker ended"
	LeaseFault   = "lease ran out: " // and the kind of the fault
)

// cause explains why d follows p, or is empty.
func (c *check) cause(s *story, p, d *delivery) string {
	if s.createdTwice(p.at) {
		return CreatedAgain
	}
	if slices.ContainsFunc(p.answers, func(a *act) bool { return a.begin <= d.at && c.gaveBack(a) }) {
		return RolledBack
	}
	if why := c.otherHolder(s, p, d); why != "" {
		return why
	}
	if over := c.leaseEnd(p, d.claim.end); over <= d.claim.end {
		if ended, ok := c.ended[p.who]; ok && ended <= d.at {
			return LeaseCrash
		}
		if f := c.parted(p.who, c.kept(p, d.claim.end), over); f != nil {
			return LeaseFault + f.kind
		}
	}
	if c.lossSince(s, p.claim.began, d.at) {
		return LostData
	}
	for _, a := range p.answers {
		if a.op == Confirm && a.result == Unknown && a.told <= d.at {
			return UnknownEnd
		}
	}
	return ""
}

// gaveBack reports whether a is a Rollback that may have given its task back. One
// that met no row in the end may have done so before, where Redis's answers were
// lost and it tried again: somebody else finished the task meanwhile.
func (c *check) gaveBack(a *act) bool {
	return a.op == Rollback && (a.may() || a.result == Gone && c.parted(a.who, a.begin, a.end) != nil)
}

// otherHolder is why d follows another delivery than p, by its rollback or by the
// end of its lease. That is no cause while two cannot hold a task; after Redis lost
// data they can.
func (c *check) otherHolder(s *story, p, d *delivery) string {
	for _, q := range s.got {
		if q == p || q == d || q.dueMS != d.dueMS || !c.lossSince(s, q.claim.began, p.claim.end) {
			continue
		}
		for _, a := range q.answers {
			if c.gaveBack(a) && a.begin >= p.claim.began && a.begin <= d.at {
				return RolledBack
			}
		}
		if over := c.leaseEnd(q, d.claim.end); over >= p.claim.began && over <= d.claim.end {
			return LostData
		}
	}
	return ""
}

// createdTwice reports whether a second create may have made the task anew after
// that moment: one that was called again as the first answer was unknown.
func (s *story) createdTwice(at int64) bool {
	n := 0
	for _, a := range s.acts {
		if a.op == Create && a.may() {
			if n++; n > 1 && a.end > at {
				return true
			}
		}
	}
	return false
}

// parted is a fault that kept a process from Redis in that time, in which it should
// have renewed a lease: its own before those of all, what was done to it before
// what came of itself.
func (c *check) parted(who string, from, to int64) (found *fault) {
	for _, f := range c.faults {
		if !f.parts || f.begin > to || f.end < from || !f.hits(who) {
			continue
		}
		if found == nil || found.kind == Starved || found.target == "" && f.kind != Starved {
			found = f
		}
	}
	return found
}

// hits reports whether process who feels f: it hits all, or that life of it, or
// ("w3") all lives of a worker ("w3.1").
func (f *fault) hits(who string) bool {
	return f.target == "" || f.target == who || strings.HasPrefix(who, f.target+".")
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

// ready is from when d could have been made: p is the delivery before it.
func (c *check) ready(s *story, p, d *delivery) (int64, bool) {
	if p != nil {
		if s.createdTwice(p.at) {
			return 0, false
		}
		at := c.leaseEnd(p, d.claim.end)
		for _, a := range p.answers {
			if a.op == Rollback && a.result == OK {
				at = a.end + a.delayMS*1000
			}
		}
		return at, true
	}
	for _, a := range s.acts {
		if a.op != Delete && a.did() && a.dueMS == d.dueMS {
			return max(a.dueMS*1000, a.end), true
		}
	}
	return 0, false // who knows when it was created
}

// lateness: d comes soon after it is ready and the last fault is over.
func (c *check) lateness(s *story, p, d *delivery) {
	ready, known := c.ready(s, p, d)
	if !known {
		return
	}
	late := max(0, d.at-ready)
	if p == nil {
		c.late = append(c.late, time.Duration(late)*time.Microsecond)
	}
	calm := ready
	n, _ := slices.BinarySearchFunc(c.faults, d.at+1, func(f *fault, at int64) int { return int(f.begin - at) })
	if n > 0 {
		calm = max(calm, min(c.calm[n-1], d.at))
	}
	c.blame(c.faults[:n], ready, calm, d.at)
	if over := d.at - calm; over > c.Bound.Microseconds() {
		c.broke(Overdue, s, d.at, "%s was handed it %.3f s after its time and all faults", d.who, ms(over)/1000)
		return
	}
	c.prompt(s, d, ready)
}

// prompt: a fault that excuses no lateness lasted on when a task was overdue, which had
// been ready, and undisturbed by any other fault, for long enough.
func (c *check) prompt(s *story, d *delivery, ready int64) {
	for _, f := range c.faults {
		if !f.prompt || c.Prompt == 0 {
			continue
		}
		from := max(ready, f.begin)
		for _, g := range c.faults {
			if !g.prompt && g.begin < from+c.Prompt.Microseconds() {
				from = max(from, g.end)
			}
		}
		if by := from + c.Prompt.Microseconds(); by > from && by <= f.end && by < d.at {
			c.broke(Overdue, s, d.at, "%s was handed it %.3f s after its time and all other faults, within a %s or after it", d.who, ms(d.at-from)/1000, f.kind)
			return
		}
	}
}

// givenUp: a Confirm that was told no outcome, by a process that had not been told to end.
func (c *check) givenUp(s *story, d *delivery) {
	for _, a := range d.answers {
		if a.op != Confirm || a.result != Unknown || a.told == never {
			continue
		}
		if ending, is := c.ending[a.who]; !is || ending > a.told {
			c.broke(GivenUp, s, a.told, "%s gave its Confirm up, %.3f s after it had begun, and went on", a.who, ms(a.told-a.begin)/1000)
			return
		}
	}
}

// blame counts a delivery's lateness to the faults that it waited through; if there
// were none, to the one that ended last, if that is not long ago. A fault that excuses
// no lateness is charged with what came since all others were over.
func (c *check) blame(faults []*fault, ready, calm, at int64) {
	var last *fault
	felt := false
	for _, f := range faults {
		if f.prompt && f.end >= ready {
			c.worst(f, at-max(ready, calm, f.begin))
		} else if f.end >= ready {
			felt = true
			c.worst(f, at-max(ready, min(f.end, at)))
		} else if last == nil || f.end > last.end {
			last = f
		}
	}
	if !felt && last != nil && ready-last.end <= c.Bound.Microseconds() {
		c.worst(last, at-ready)
	}
}

func (c *check) worst(f *fault, late int64) {
	c.v.Worst[f.kind] = max(c.v.Worst[f.kind], time.Duration(late)*time.Microsecond)
}
