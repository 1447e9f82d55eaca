package triggerhook

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// recordLease records Options.Lease, if it is longer than any that is recorded, before this
// process may claim.
//
// Protocol. Delete relies for trust on the longest Lease that is announced, and only what is
// settled is used. Whoever has a longer Lease announces it, waits hold, and settles it; so
// does whoever meets the announcement of another, which may have died since. As hold is
// longer than trust, all who delete know of a Lease before the first claim with it. While
// none is recorded Delete reckons with the longest that is legal, so the first is settled at
// once. What is recorded never falls.
func (s *Scheduler) recordLease(ctx context.Context) error {
	own := s.o.Lease.Milliseconds()
	if k, _, ok := s.records.last(); ok && k.lease.SettledMS >= own {
		return nil // it never falls
	}
	for waited := false; ctx.Err() == nil; {
		if err := s.records.now(ctx); err != nil {
			return err
		}
		k, _, _ := s.records.last()
		is := k.lease
		switch {
		case is.SettledMS >= own:
			return nil
		case is == task.Lease{}:
			if _, err := s.swapLease(ctx, is, task.Lease{SettledMS: own, AnnouncedMS: own}); err != nil {
				return err
			}
		case is.AnnouncedMS < own:
			failpoint.Hit("lease/announce")
			if _, err := s.swapLease(ctx, is, task.Lease{SettledMS: is.SettledMS, AnnouncedMS: own}); err != nil {
				return err
			}
			s.report.Info("Lease is longer than any before, and is used after a while", "lease_ms", own, "before_ms", is.SettledMS, "after_ms", hold.Milliseconds())
		case !waited:
			wait.For(ctx, hold)
			waited = true
		default:
			failpoint.Hit("lease/settle")
			if _, err := s.swapLease(ctx, is, task.Lease{SettledMS: own, AnnouncedMS: is.AnnouncedMS}); err != nil {
				return err
			}
			failpoint.Hit("lease/end")
		}
	}
	return ctx.Err()
}

// swapLease records a lease if old is what is recorded.
func (s *Scheduler) swapLease(ctx context.Context, old, to task.Lease) (bool, error) {
	var before []byte
	if old != (task.Lease{}) {
		before, _ = old.MarshalText()
	}
	after, _ := to.MarshalText()
	return s.store.SwapRecord(ctx, task.RecordLease, string(before), string(after))
}

// longestLease is that of all workers of the namespace, as far as is known within trust.
func (s *Scheduler) longestLease() time.Duration {
	k, age, _ := s.records.last()
	if k.lease.AnnouncedMS == 0 || age > trust {
		return maxLease
	}
	return time.Duration(k.lease.AnnouncedMS) * time.Millisecond
}
