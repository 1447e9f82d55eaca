package history

import "slices"

// toldOf: what an upsert told agrees with whether the task existed, and what changed it had a task to change.
func (c *check) toldOf(s *story) {
	for _, u := range s.acts {
		if u.did() && !u.creates() && !s.made(u.end) {
			c.broke(Untrue, s, u.begin, "%s was told %s by its %s, and there was none", u.who, u.result, u.op)
			return
		}
		if u.op != Upsert {
			continue
		}
		switch u.result {
		case Created:
			if by := s.stood(u); by != nil {
				c.broke(Untrue, s, u.begin, "%s was told that its upsert created it, and a %s had made it %.3f ms before", u.who, by.op, ms(u.begin-by.end))
			}
		case Kept, Replaced:
			if c.absent(s, u) {
				c.broke(Untrue, s, u.begin, "%s was told that its upsert %s it, and there was none", u.who, u.result)
			}
		}
	}
}

// stood is what had made the task, if it certainly existed all the time of u.
func (s *story) stood(u *act) *act {
	for _, a := range s.acts {
		if a != u && a.creates() && s.offered(a) && a.result != Unknown && a.end < u.begin && !s.removedPerhaps(a.begin, u.end) {
			return a
		}
	}
	return nil
}

// removedPerhaps reports whether the task's row may have been removed in that time.
func (s *story) removedPerhaps(from, to int64) bool {
	within := func(a *act) bool { return a.may() && a.begin <= to && a.end >= from }
	return slices.ContainsFunc(s.acts, func(a *act) bool { return (a.op == Delete || a.op == Bury) && within(a) }) ||
		slices.ContainsFunc(s.got, func(d *delivery) bool {
			return slices.ContainsFunc(d.answers, func(a *act) bool { return (a.confirms() || a.op == Settle) && within(a) })
		})
}

// absent reports whether there certainly was no such task at any time of u.
func (c *check) absent(s *story, u *act) bool {
	return slices.ContainsFunc(s.removals(), func(r *act) bool {
		return r.end < u.begin && !c.madeAfter(s, r.begin) && !slices.ContainsFunc(s.acts, func(a *act) bool {
			return a != u && a.creates() && a.begin <= u.end && a.end >= r.begin
		})
	})
}

// made reports whether the task may have been made by then.
func (s *story) made(by int64) bool {
	return slices.ContainsFunc(s.acts, func(a *act) bool { return a.creates() && a.begin <= by })
}

// paid: a delivery has a payload that was stored for it, and not one that had been replaced before it was claimed.
func (c *check) paid(s *story, d *delivery) {
	of := func(a *act) bool { return a.pays() && a.pay == d.pay }
	if !slices.ContainsFunc(s.acts, func(a *act) bool { return of(a) && a.begin <= d.at }) {
		c.broke(Inexact, s, d.at, "%s was handed it with payload %d, which was not stored", d.who, d.pay)
		return
	}
	for _, m := range s.acts {
		if m.op != Upsert || m.result != Replaced || !m.pays() || m.pay == d.pay || s.paidLater(m, d.pay) {
			continue
		}
		if d.claim.began > m.end {
			c.broke(Ghost, s, d.at, "%s claimed it with payload %d, %.3f ms after that had been replaced by %d", d.who, d.pay, ms(d.claim.began-m.end), m.pay)
			return
		}
		for _, a := range d.answers {
			if (a.op == Confirm || a.op == ConfirmTx) && a.result == OK && a.begin > m.end && !c.blurred(a) {
				c.broke(Untrue, s, a.begin, "%s confirmed it with payload %d, %.3f ms after that had been replaced by %d", a.who, d.pay, ms(a.begin-m.end), m.pay)
				return
			}
		}
	}
}

// paidLater reports whether that payload may have been stored after m.
func (s *story) paidLater(m *act, pay int64) bool {
	return slices.ContainsFunc(s.acts, func(a *act) bool { return a.pays() && a.pay == pay && a.end > m.begin })
}
