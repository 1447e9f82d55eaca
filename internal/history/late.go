package history

import (
	"slices"
	"time"
)

// ready is from when d could have been made: p is the delivery before it.
func (c *check) ready(s *story, p, d *delivery) (int64, bool) {
	if p != nil {
		if s.createdTwice(p) {
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
		if a.offers() && a.did() && a.dueMS == d.dueMS {
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
		c.drainedLate(s, d)
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
