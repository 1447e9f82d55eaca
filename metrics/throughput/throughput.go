// Package throughput makes rates, sums and lateness of a namespace of what its workers tell of themselves (Scheduler.Workers). The
// dashboard and the command show them.
//
// The rules that a Meter keeps:
//
//   - OneWorker: a difference is taken between two reports of one WorkerInfo.ID. A worker that starts again has another ID, and
//     begins with zero counters, so that no rate is negative, and no sum falls.
//   - FirstSight: what a worker counted before its first report belongs to the sums and to no rate. A rate is known from the second
//     report on, 3 s later at most.
//   - Vanished: a worker that is not among those told has no rate any more. What it counted stays in the sums.
//   - Return: one that comes back, within an hour, goes on from its last report, and is not counted twice.
//   - Gap: two reports that are further apart than 15 s, because no figures were read meanwhile, make a sum and no rate.
//   - Unread: a worker whose report cannot be read is shown, and changes no figure.
package throughput

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook"
)

const (
	// rateOver is how long ago the report is, about, that a rate compares the last one with.
	rateOver = 5 * time.Second
	// gap is how far apart two reports are at most between which there is a rate.
	gap = 15 * time.Second
	// keepAbsent is for how long a worker that vanished is remembered.
	keepAbsent = time.Hour
)

// Counters are what workers counted. A failed delivery is offered again, or its task becomes a dead letter.
type Counters struct {
	Created   uint64 // tasks that they created
	Preloaded uint64 // tasks that they added to the hot set
	Delivered uint64 // deliveries
	Confirmed uint64 // tasks that are done
	Failed    uint64 // deliveries that failed
	Again     uint64 // deliveries after which the task is offered again: it failed, or was snoozed
	Dead      uint64 // tasks that became dead letters
}

// CountersOf are the counters of a report.
func CountersOf(p triggerhook.ProcessStats) Counters {
	return Counters{Created: p.Created, Preloaded: p.Preloaded, Delivered: p.Delivered, Confirmed: p.Confirmed,
		Failed: p.RolledBack + p.Exhausted + p.Discarded, Again: p.RolledBack + p.Snoozed, Dead: p.Exhausted + p.Discarded + p.Expired}
}

// since is by how much c has grown. A counter never falls; one that does all the same has not grown.
func (c Counters) since(before Counters) Counters {
	return Counters{grown(before.Created, c.Created), grown(before.Preloaded, c.Preloaded), grown(before.Delivered, c.Delivered), grown(before.Confirmed, c.Confirmed),
		grown(before.Failed, c.Failed), grown(before.Again, c.Again), grown(before.Dead, c.Dead)}
}

func grown(before, now uint64) uint64 { return now - min(before, now) }

func (c Counters) plus(o Counters) Counters {
	return Counters{c.Created + o.Created, c.Preloaded + o.Preloaded, c.Delivered + o.Delivered, c.Confirmed + o.Confirmed, c.Failed + o.Failed, c.Again + o.Again, c.Dead + o.Dead}
}

// Rates are Counters in a second.
type Rates struct {
	Created, Preloaded, Delivered, Confirmed, Failed, Again, Dead float64 // what the Counters of these names count
}

func (c Counters) per(d time.Duration) Rates {
	of := func(n uint64) float64 { return float64(n) / d.Seconds() }
	return Rates{of(c.Created), of(c.Preloaded), of(c.Delivered), of(c.Confirmed), of(c.Failed), of(c.Again), of(c.Dead)}
}

func (r Rates) plus(o Rates) Rates {
	return Rates{r.Created + o.Created, r.Preloaded + o.Preloaded, r.Delivered + o.Delivered, r.Confirmed + o.Confirmed, r.Failed + o.Failed, r.Again + o.Again, r.Dead + o.Dead}
}

// Holding is what workers have at present.
type Holding struct {
	Queued, InHand, Stuck, Confirming int64 // as in triggerhook.ProcessStats
}

// Worker is a worker with its rates.
type Worker struct {
	triggerhook.WorkerInfo
	Rates Rates // zero if they are not known
	Known bool  // the rates are known: there are two reports
}

// Figures are those of a namespace.
type Figures struct {
	Workers  []Worker  // by their names, then by their IDs
	Rates    Rates     // of all workers whose rates are known
	Known    bool      // there are some, or there is no worker at all
	Holding  Holding   // of all workers
	Sum      Counters  // of all workers that were seen, since they began
	Lateness Histogram // of the first deliveries of the same workers
}

// Meter makes figures of reports. The zero Meter is ready. One goroutine uses it at a time.
type Meter struct {
	known    map[string]*known // by ID
	sum      Counters
	lateness Histogram
}

// known is what a Meter knows of one worker.
type known struct {
	reports []report  // the last few, oldest first, with different times
	absent  time.Time // since when it is not told of; zero: it is
}

// report is one report of a worker.
type report struct {
	seen     time.Time
	counters Counters
	lateness Histogram
}

// Add takes what Scheduler.Workers has returned by now, and returns the figures.
func (m *Meter) Add(now time.Time, workers []triggerhook.WorkerInfo) Figures {
	f := Figures{Known: len(workers) == 0}
	told := make(map[string]bool, len(workers))
	for _, w := range workers {
		it := Worker{WorkerInfo: w}
		if told[w.ID] = true; !w.Started.IsZero() { // Unread
			it.Rates, it.Known = m.take(w)
		}
		f.Workers, f.Rates, f.Known = append(f.Workers, it), f.Rates.plus(it.Rates), f.Known || it.Known
		f.Holding.Queued, f.Holding.InHand = f.Holding.Queued+w.Stats.Queued, f.Holding.InHand+w.Stats.InHand
		f.Holding.Stuck, f.Holding.Confirming = f.Holding.Stuck+w.Stats.Stuck, f.Holding.Confirming+w.Stats.Confirming
	}
	m.forget(now, told)
	slices.SortFunc(f.Workers, func(a, b Worker) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	f.Sum, f.Lateness = m.sum, m.lateness.clone()
	return f
}

// take adds up what w has counted since its last report, and returns its rates.
func (m *Meter) take(w triggerhook.WorkerInfo) (Rates, bool) {
	if m.known == nil {
		m.known = map[string]*known{}
	}
	k := m.known[w.ID]
	if k == nil {
		k = &known{}
		m.known[w.ID] = k
	}
	k.absent = time.Time{}
	r, last := report{w.Seen, CountersOf(w.Stats), HistogramOf(w.Stats)}, report{}
	if n := len(k.reports); n > 0 {
		last = k.reports[n-1]
	}
	if r.seen.After(last.seen) {
		m.sum, m.lateness = m.sum.plus(r.counters.since(last.counters)), m.lateness.plus(r.lateness.Since(last.lateness))
		if r.seen.Sub(last.seen) > gap {
			k.reports = nil
		}
		k.reports = append(k.reports, r)
	}
	return k.rates()
}

// rates compares the last report with one from some seconds before.
func (k *known) rates() (Rates, bool) {
	last := k.reports[len(k.reports)-1]
	for len(k.reports) > 2 && last.seen.Sub(k.reports[1].seen) >= rateOver {
		k.reports = k.reports[1:]
	}
	first := k.reports[0]
	if !last.seen.After(first.seen) {
		return Rates{}, false
	}
	return last.counters.since(first.counters).per(last.seen.Sub(first.seen)), true
}

// forget forgets the workers that vanished long ago.
func (m *Meter) forget(now time.Time, told map[string]bool) {
	maps.DeleteFunc(m.known, func(id string, k *known) bool {
		if told[id] {
			return false
		}
		if k.absent.IsZero() {
			k.absent = now
		}
		return now.Sub(k.absent) > keepAbsent
	})
}
