package history

import (
	"slices"
	"time"
)

// Transactions of callers. Their acts take effect at a COMMIT that the library does not see, and the hot set is told soon
// after it. How soon depends on faults, so that one task proves little: only one that comes later than Bound, after
// all faults, breaks a rule. Beside that the run as a whole is judged: most tasks are told of within Drain.

// fewest is how many tasks say something of most tasks, also where a feeder was killed or the hot set lost its data several times.
const fewest = 100

// drains is what a run shows of how soon the hot set learns what transactions have changed.
type drains struct {
	late    []time.Duration // after the commit, of tasks that were due then
	exposed int             // that a transaction took from the hot set some time before they were due
	stale   int             // of these, claimed all the same later than Drain
}

// decide says what became of a, if that was unknown, and hangs on a transaction: the row that each transaction writes
// beside it tells.
func (h *History) decide(a *act) {
	if a.tx == "" || !h.ledger || a.result != Unknown {
		return
	}
	if !h.committed[a.tx] {
		a.result = Aborted
		return
	}
	a.result = OK
	if ended, is := h.ended[a.who]; is && a.end == never {
		a.end = ended + doubt // the COMMIT had been sent by then
	}
}

// transaction counts what became of the transactions of s, and how soon the hot set was told.
func (c *check) transaction(s *story) {
	for _, a := range s.acts {
		if a.tx == "" {
			continue
		}
		c.countTx(a)
		if a.did() && !a.creates() {
			c.drained(s, a)
			c.expose(s, a)
		}
	}
	for _, d := range s.got {
		for _, a := range d.answers {
			if a.op == ConfirmTx {
				c.countTx(a)
			}
		}
	}
}

func (c *check) countTx(a *act) {
	if a.did() {
		c.v.Committed++
	} else if a.result == Aborted {
		c.v.Aborted++
	}
}

// outdated reports whether a, which has ended or moved the task, rules d out, unless d was claimed before.
func (c *check) outdated(s *story, a *act, d *delivery) bool {
	if a.op == Delete {
		return !c.madeAfter(s, a.begin)
	}
	return a.dueMS != d.dueMS && !s.askedLater(a, d.dueMS)
}

// drained: nothing is claimed at the old time much later than the commit and the last fault.
func (c *check) drained(s *story, a *act) {
	for _, d := range s.got {
		if !c.outdated(s, a, d) {
			continue
		}
		if over := d.claim.began - max(a.end, c.calmBefore(d.claim.began)); over > c.Bound.Microseconds() {
			c.broke(Ghost, s, d.at, "%s claimed it for %d, %.3f s after the transaction of its %s had committed and after all faults", d.who, d.dueMS, ms(over)/1000, a.op)
			return
		}
	}
}

// calmBefore is when the last fault was over that had begun by then, and then at the latest.
func (c *check) calmBefore(at int64) int64 {
	n, _ := slices.BinarySearchFunc(c.faults, at+1, func(f *fault, at int64) int { return int(f.begin - at) })
	if n == 0 {
		return 0
	}
	return min(c.calm[n-1], at)
}

// soon is how long before its time a task is in the hot set for certain.
const soon = 5_000_000

// expose counts a if the hot set had its task, and had time to learn what became of it.
func (c *check) expose(s *story, a *act) {
	var first *act
	for _, b := range s.acts {
		switch {
		case b == a:
		case b.creates() && b.did() && first == nil:
			first = b
		case b.may():
			return
		}
	}
	drain := c.Drain.Microseconds()
	if first == nil || first.end >= a.begin || first.dueMS*1000 <= a.end+drain || first.dueMS*1000 > a.end+soon {
		return
	}
	c.drains.exposed++
	if slices.ContainsFunc(s.got, func(d *delivery) bool { return d.dueMS == first.dueMS && d.claim.began > a.end+drain }) {
		c.drains.stale++
	}
}

// drainedLate notes how late a first delivery of a task is that a transaction created when it was due.
func (c *check) drainedLate(s *story, d *delivery) {
	for _, a := range s.acts {
		if a.tx != "" && a.creates() && a.did() && a.dueMS == d.dueMS && a.dueMS*1000 <= a.end && a.told != never {
			c.drains.late = append(c.drains.late, time.Duration(max(0, d.at-a.end))*time.Microsecond)
		}
	}
}

// judgeDrains: the hot set was told of most of what transactions had changed within Drain.
func (c *check) judgeDrains() {
	x, run := &c.drains, &story{id: "transactions"}
	slices.Sort(x.late)
	if n := len(x.late); n > 0 {
		c.v.TxLateP50, c.v.TxLateP99 = x.late[(n-1)/2], x.late[(n-1)*99/100]
	}
	c.v.TxExposed, c.v.TxStale = x.exposed, x.stale
	// Where all tasks are late, because the machine is busy, these may be.
	if most := c.Drain + 2*c.v.LateP50; len(x.late) >= fewest && c.v.TxLateP50 > most {
		c.broke(Overdue, run, never, "of %d tasks that were due when their transactions committed one half came more than %s later, at most %s are allowed", len(x.late), c.v.TxLateP50, most)
	}
	if x.exposed >= fewest && 2*x.stale > x.exposed {
		c.broke(Ghost, run, never, "%d of %d tasks were claimed at their old times later than %s after their transactions had committed", x.stale, x.exposed, c.Drain)
	}
}

// settledTx: a Confirm after a ConfirmTx that has committed says so, unless its process ends.
func (c *check) settledTx(s *story, d *delivery) {
	var tx *act
	for _, a := range d.answers {
		switch {
		case a.op == ConfirmTx:
			tx = a
		case a.op != Settle || tx == nil || tx.result != OK || a.result == OK || a.told == never:
		default:
			if ending, is := c.ending[a.who]; !is || ending > a.told {
				c.broke(Untrue, s, a.told, "%s was told %s by the Confirm after a ConfirmTx that had committed", a.who, a.result)
			}
		}
	}
}

// once: what is written in the transaction of a ConfirmTx is written once for each time that the task was made.
func (c *check) once(s *story) {
	n, made := 0, 0
	vers := map[int64]int{}
	for _, d := range s.got {
		for _, a := range d.answers {
			if a.op == ConfirmTx && a.result == OK {
				n++
				vers[d.claim.ver]++
			}
		}
	}
	precise := !slices.ContainsFunc(s.acts, (*act).replacesOnly) // else a delivery's claim may be that of the next version
	for ver, k := range vers {
		if ver != 0 && k > 1 && precise {
			c.broke(Twice, s, never, "%d transactions committed that had confirmed its version %d", k, ver)
			return
		}
	}
	for _, a := range s.acts {
		if a.creates() {
			made++
			if a.tx == "" && c.blurred(a) {
				made++
			}
		}
	}
	if n > made {
		c.broke(Twice, s, never, "%d transactions committed that had confirmed it, and it was made %d times", n, made)
	}
}
