package triggerhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
)

// exactTasks is up to how many tasks Stats counts exactly.
const exactTasks = 100_000

// Stats is what those who run it watch.
type Stats struct {
	Namespace NamespaceStats
	Process   ProcessStats
}

// NamespaceStats are of all processes, read from both stores at most once a second.
type NamespaceStats struct {
	Tasks     int64 // all unfinished tasks
	Estimated bool  // Tasks is an estimate: there are more than 100,000
	Preloaded int64 // in the hot set, waiting, due or not
	Due       int64 // of those, due: waiting for sending
	InFlight  int64 // claimed by workers
}

// ProcessStats are counters of this process since it began. No I/O.
type ProcessStats struct {
	Created, Deleted, Rescheduled uint64
	Preloaded                     uint64 // taken into the hot set by this process
	Scanned                       uint64 // rows that its feeder and auditor read
	Rebuilds                      uint64 // generations that its feeder began
	AuditFinds                    uint64 // tasks that its auditor found missing
	// Errors counts those that no caller was told, by kind.
	Errors map[string]uint64
	consumer.Figures
}

type namespaceCache struct {
	mu    sync.Mutex
	at    time.Time
	stats NamespaceStats
	err   error
}

// Stats returns the figures. If a store does not answer, the error says so and
// Process is valid nevertheless.
func (s *Scheduler) Stats(ctx context.Context) (Stats, error) {
	c := &s.counts
	out := Stats{Process: ProcessStats{Created: c.created.Load(), Deleted: c.deleted.Load(), Rescheduled: c.rescheduled.Load(),
		Preloaded: c.preloaded.Load(), Scanned: c.scanned.Load(), Rebuilds: c.rebuilds.Load(), AuditFinds: c.finds.Load(),
		Errors: s.report.Counts(), Figures: s.consumer.Figures()}}
	s.ns.mu.Lock()
	defer s.ns.mu.Unlock()
	if s.ns.at.IsZero() || time.Since(s.ns.at) >= time.Second {
		s.ns.stats, s.ns.err = s.readNamespace(ctx)
		s.ns.at = time.Now()
	}
	out.Namespace = s.ns.stats
	return out, s.ns.err
}

func (s *Scheduler) readNamespace(ctx context.Context) (out NamespaceStats, err error) {
	n, exact, err := s.store.Count(ctx, exactTasks)
	out.Tasks, out.Estimated = n, !exact && err == nil
	for p := range s.parts {
		st, e := s.set.State(ctx, p)
		err = errors.Join(err, e)
		out.Preloaded += st.Waiting
		out.Due += st.Due
		out.InFlight += st.Claimed
	}
	return out, err
}
