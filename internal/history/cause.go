package history

import (
	"slices"
	"strings"
)

// Causes of a second delivery.
const (
	CreatedAgain  = "created again"
	GotNewVersion = "replaced"
	RolledBack    = "rollback"
	LostData      = "redis lost data"
	UnknownEnd    = "answer unknown"
	LeaseCrash    = "lease ran out: its worker ended"
	LeaseFault    = "lease ran out: " // and the kind of the fault
)

// cause explains why d follows p, or is empty.
func (c *check) cause(s *story, p, d *delivery) string {
	if s.createdTwice(p) {
		return CreatedAgain
	}
	first := min(p.claim.began, d.claim.began) // either may be the new version: what was claimed ahead waits until it is due
	if slices.ContainsFunc(s.acts, func(a *act) bool { return a.newVersion(d.dueMS) && a.begin <= d.at && a.end >= first }) {
		return GotNewVersion
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
		if a.confirms() && a.result == Unknown && a.told <= d.at {
			return UnknownEnd
		}
	}
	return ""
}

// gaveBack reports whether a is a Rollback that may have given its task back. One
// that met no row in the end may have done so before, where Redis's answers were
// lost and it tried again: another worker finished the task meanwhile.
func (c *check) gaveBack(a *act) bool {
	if a.op == Settle {
		return a.result == Unknown // the transaction had not committed: it says so by an error
	}
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

// createdTwice reports whether a second create for p's time may have made the task anew after p: one that was called
// again as the first answer was unknown.
func (s *story) createdTwice(p *delivery) bool {
	n := 0
	for _, a := range s.acts {
		if a.creates() && a.dueMS == p.dueMS {
			if n++; n > 1 && a.end > p.at {
				return true
			}
		}
	}
	return false
}

// newVersion reports whether a may have given a stored task that is due at that time a new version which is due then too:
// an upsert that leaves the time, or one that was called again.
func (a *act) newVersion(dueMS int64) bool {
	return a.replacesOnly() || a.op == Upsert && a.moves() && a.dueMS == dueMS
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

// Kinds of faults that the rules know.
const (
	Stop    = "stop"    // stops a process and lets it go on later
	Starved = "starved" // the machine did not let a process run
)

// stopped reports whether process who was stopped for a while between from and
// to: what it began before that, its line tells only afterwards.
func (c *check) stopped(who string, from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return f.kind == Stop && f.target == who && f.begin <= to && f.end >= from })
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
		if a.creates() {
			made := a.begin
			if slices.ContainsFunc(c.faults, func(f *fault) bool { return f.partly && f.begin <= to && f.end >= made }) {
				return true
			}
		}
	}
	return c.lossBetween(from, to)
}
