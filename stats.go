package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// exactTasks is up to how many tasks Stats counts exactly.
const exactTasks = 100_000

// exactDead is the same of dead letters.
const exactDead = 10_000

// Stats has the figures of a namespace and of this process, for monitoring. The metrics package
// exports all of them.
type Stats struct {
	Namespace NamespaceStats // of all processes
	Process   ProcessStats   // of this process
}

// NamespaceStats are of all processes, read from both stores at most once a second, and anew after a Pause or Resume of this process.
type NamespaceStats struct {
	Tasks     int64 // all unfinished tasks
	Estimated bool  // Tasks is an estimate: there are more than 100,000
	Preloaded int64 // in the hot set, waiting, due or not
	Due       int64 // those of Preloaded that are due
	InFlight  int64 // claimed by workers; while the hot set is being rebuilt those of them that have been registered again
	// OldestDue is for how long the first of Due has waited, by the hot set's clock: since it was to be offered. 0 if none is due.
	OldestDue time.Duration
	// LoadedAhead is how far ahead of now the hot set has all tasks, the least of its partitions: about Window while a feeder works, and
	// less where more tasks than HotTasks are due within it. Not above 0: what falls due now is not preloaded, because no feeder works, the
	// hot set is being rebuilt, or more than HotTasks are overdue.
	LoadedAhead time.Duration
	// Forecast is how many tasks fall due within 1 min, 5 min, 1 h and 24 h: see Scheduler.Forecast.
	Forecast []Forecast
	// Pause tells whether tasks are delivered: see Scheduler.Pause.
	Pause PauseStatus
	Dead  int64 // dead letters
	// DeadEstimated: Dead is an estimate, because there are more than 10,000.
	DeadEstimated bool
}

// ProcessStats are counters of this process since it began. No I/O. Besides the fields below it has those of the embedded
// consumer.Figures, which are what Consume and Handle did:
//
//	Delivered, Redelivered                        uint64 // deliveries; of these, the ones that were not their task's first
//	Confirmed, RolledBack, Snoozed                uint64 // how they ended
//	TimedOut                                      uint64 // not settled within DeliveryTimeout, nor as soon as their Context ended
//	Exhausted, Discarded, Expired                 uint64 // tasks that became dead letters: no attempt left, given up, too late
//	LeasesLost                                    uint64 // batches whose lease ran out while this process had tasks of them
//	Queued, InHand, Stuck, Confirming             int64  // at present
//	Lateness, LatenessSum, LatenessExp, LatenessZero     // of first deliveries
//	ClockOffset                                   time.Duration // the hot set's clock minus this process's
type ProcessStats struct {
	// Created, Deleted and Rescheduled count tasks, by calls of this process; Rescheduled also has those that Update and Upsert changed. CreateTx,
	// DeleteTx and RescheduleTx are in none of them, because this process does not see whether their transaction commits.
	Created, Deleted, Rescheduled uint64
	Requeued                      uint64 // dead letters that this process made tasks again
	// Preloaded counts the tasks that the feeder, Create and Reschedule added to the hot set. It
	// counts neither those that the auditor found (AuditFinds) nor those that a Rollback beyond the
	// horizon added.
	Preloaded  uint64
	Scanned    uint64 // rows that its feeder and auditor read
	Rebuilds   uint64 // generations that its feeder began
	AuditFinds uint64 // tasks that its auditor found missing
	Purged     uint64 // ends of tasks that its purger deleted from the history (Options.History)
	// Errors counts the errors that could not be returned to a caller, by kind.
	Errors map[string]uint64
	consumer.Figures
}

// namespaceCache holds what was read last. The goroutine that has put an element into turn owns it.
type namespaceCache struct {
	turn  chan struct{}
	at    time.Time // when it was asked for
	stats NamespaceStats
	err   error
	after atomic.Pointer[time.Time] // what was asked for before this is not used any more; nil: all is
}

// forget makes the next Stats read anew, because this process has changed what Stats tells.
func (c *namespaceCache) forget() {
	now := time.Now()
	c.after.Store(&now)
}

// isOld reports whether the figures are to be read anew.
func (c *namespaceCache) isOld() bool {
	after := c.after.Load()
	return c.at.IsZero() || time.Since(c.at) >= time.Second || after != nil && !c.at.After(*after)
}

// Stats returns the figures. If a store does not answer, the error says so and
// Process is valid nevertheless.
func (s *Scheduler) Stats(ctx context.Context) (Stats, error) {
	out := Stats{Process: s.processStats()}
	select {
	case s.ns.turn <- struct{}{}:
	case <-ctx.Done():
		return out, fmt.Errorf("stats: %w", ctx.Err())
	}
	defer func() { <-s.ns.turn }()
	if s.ns.isOld() {
		began := time.Now()
		stats, err := s.readNamespace(ctx)
		if ctx.Err() != nil { // which says nothing about the stores
			return out, err
		}
		s.ns.stats, s.ns.err, s.ns.at = stats, err, began
	}
	out.Namespace = s.ns.stats
	out.Namespace.Forecast = slices.Clone(s.ns.stats.Forecast)
	return out, s.ns.err
}

func (s *Scheduler) processStats() ProcessStats {
	c := &s.counts
	return ProcessStats{Created: c.created.Load(), Deleted: c.deleted.Load(), Rescheduled: c.rescheduled.Load(), Requeued: c.requeued.Load(),
		Preloaded: s.adds.Added() + c.agents.Fed.Load(), Scanned: c.agents.Scanned.Load(), Rebuilds: c.agents.Rebuilds.Load(), AuditFinds: c.agents.Finds.Load(), Purged: c.agents.Purged.Load(),
		Errors: s.report.Counts(), Figures: s.consumer.Figures()}
}

// loadedAhead is NamespaceStats.LoadedAhead. A partition that is cold has loaded nothing.
func loadedAhead(states []task.State) time.Duration {
	ahead := time.Duration(math.MaxInt64)
	for _, st := range states {
		of := time.Duration(0)
		if st.AsOf.Generation != 0 {
			of = time.Duration(st.Loaded.NextMS-st.AsOf.TimeUS/1000) * time.Millisecond
		}
		ahead = min(ahead, of)
	}
	return ahead
}

func (s *Scheduler) readNamespace(ctx context.Context) (out NamespaceStats, err error) {
	n, exact, err := s.store.Count(ctx, exactTasks)
	out.Tasks, out.Estimated = n, !exact && err == nil
	dead, exact, dErr := s.store.CountDead(ctx, exactDead)
	out.Dead, out.DeadEstimated = dead, !exact && dErr == nil
	states, e := s.states(ctx)
	if e == nil {
		out.LoadedAhead = loadedAhead(states)
	}
	for _, st := range states {
		out.Preloaded += st.Waiting
		out.Due += st.Due
		out.InFlight += st.Claimed
		if st.Due > 0 {
			out.OldestDue = max(out.OldestDue, time.Duration(st.AsOf.TimeUS/1000-st.OldestMS)*time.Millisecond)
		}
	}
	out.Pause = s.pauseStatus(ctx, states)
	if err = errors.Join(err, dErr, e); err == nil {
		out.Forecast, err = s.forecast(ctx, states, statsForecasts)
	}
	return out, err
}
