package preload

import (
	"time"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
)

// Adds that linger. The caller of a task that is due some time from now need not wait until the hot set has it: the row is
// committed, and that is the promise. So such adds may wait for others, and many share a call to the hot set.
//
// Invariants:
//
//	L1  What is due within lingerAhead does not linger: its add is under way when Add returns, as if there were no lingering.
//	L2  A row that lingers is added, or is in the queue of retries, once its call has ended, however it ends.
//	L3  PendingSince counts rows that linger, so that Flush waits for them.
//	L4  About mostLingering rows linger at most; beyond that callers wait, as long as they do for what does not linger.
//
// AsOfBeforeRead holds as for each group. A deletion meanwhile leaves a tombstone, which refuses the add.
// If this process dies, up to coalesce.Few rows of each partition that were created, or what was created in coalesce.Linger if that is more, and what a call under
// way has, are not in the hot set; the auditor finds them (create.go).
const (
	lingerAhead   = 350 * time.Millisecond // coalesce.LingerFew, a call that takes its whole Timeout, and as much again, and some
	mostLingering = 10_000
)

// Linger lets adds linger, or no longer: those that do go at once then. A process in which they linger calls Flush before it ends.
func (a *Adder) Linger(on bool) {
	a.linger.Store(on)
	for _, g := range a.lingering {
		g.Ask()
	}
}

// mayLinger reports whether the add of r may wait for others (L1, L4).
func (a *Adder) mayLinger(r PartitionRows) bool {
	if !a.linger.Load() || a.waiting.Sum()+len(r.Rows) > mostLingering {
		return false
	}
	soon := time.UnixMicro(r.AsOf.TimeUS).Add(wait.Elapsed(r.asked) + lingerAhead).UnixMilli() // by the clock of the hot set, at the latest
	for _, row := range r.Rows {
		if row.NextMS <= soon {
			return false
		}
	}
	return true
}

// addLater has r added without a caller that waits.
func (a *Adder) addLater(r PartitionRows) {
	r.since = time.Now()
	r.ended = a.waiting.Begin(len(r.Rows))
	a.lingering[r.P].Post(r)
}

func (a *Adder) newLingering(p int) *group {
	g := a.newGroup(p)
	g.Lingers = a.linger.Load
	g.Flush = func(all []PartitionRows) []coalesce.Result[struct{}] { return a.addLingering(p, all) }
	return g
}

// addLingering adds a group for which no caller waits, and queues what was not added (L2).
func (a *Adder) addLingering(p int, all []PartitionRows) []coalesce.Result[struct{}] {
	var results []coalesce.Result[struct{}]
	defer func() { // also if something panics: no caller learns of it
		for i, r := range all {
			if i >= len(results) || results[i].Err != nil {
				a.enqueue(r.Rows, r.since) // before they end: a Flush must not miss them
			}
			r.ended()
		}
	}()
	failpoint.Hit("linger/add")
	results = a.addAll(p, all)
	failpoint.Hit("linger/end")
	return results
}
