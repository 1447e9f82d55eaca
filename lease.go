package triggerhook

import (
	"context"
	"strconv"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// recordLease records Options.Lease, if it is longer than any that is recorded, and waits
// hold then before this process may claim: Delete relies on the recorded lease for trust.
// While none is recorded Delete reckons with the longest that is legal, so the first need not
// wait. What is recorded never falls.
func (s *Scheduler) recordLease(ctx context.Context) error {
	own := s.o.Lease.Milliseconds()
	for {
		k, _, ok := s.records.last()
		if ok && k.leaseMS >= own {
			return nil // it never falls
		}
		if err := s.records.now(ctx); err != nil {
			return err
		}
		if k, _, _ = s.records.last(); k.leaseMS >= own {
			return nil
		}
		old := ""
		if k.leaseMS > 0 {
			old = strconv.FormatInt(k.leaseMS, 10)
		}
		swapped, err := s.store.SwapRecord(ctx, task.RecordLease, old, strconv.FormatInt(own, 10))
		if err != nil {
			return err
		}
		if swapped {
			if old != "" {
				s.report.Info("Lease is longer than any before, and is used after a while", "lease_ms", own, "before_ms", k.leaseMS, "after_ms", hold.Milliseconds())
				sleep(ctx, hold)
			}
			return s.records.now(ctx)
		}
	}
}

// longestLease is that of all workers of the namespace, as far as is known within trust.
func (s *Scheduler) longestLease() time.Duration {
	k, age, _ := s.records.last()
	if k.leaseMS == 0 || age > trust {
		return maxLease
	}
	return time.Duration(k.leaseMS) * time.Millisecond
}
