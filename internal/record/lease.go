package record

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// MaxLease is the longest legal Lease.
const MaxLease = 10 * time.Minute

// AnnounceLease records lease, if it is longer than the lease that is recorded, and returns
// once workers may use it. A worker calls it before its first claim.
//
// Protocol. Delete uses the longest announced lease that was read within MaxAge, and workers use
// only what is effective. A process with a longer lease announces it, waits for Hold, and makes
// it effective. A process that meets the announcement of another one does the same, because the
// other one may have died. Hold is longer than MaxAge, so every process that deletes knows of a
// lease before the first claim with it. While no lease is recorded, Delete assumes MaxLease,
// so the first one is effective at once. What is recorded never falls.
func (r *Reader) AnnounceLease(ctx context.Context, lease time.Duration) error {
	own := lease.Milliseconds()
	if k, _, ok := r.Last(); ok && k.Lease.EffectiveMS >= own {
		return nil // what is recorded never falls
	}
	for waited := false; ctx.Err() == nil; {
		if err := r.Refresh(ctx); err != nil {
			return err
		}
		k, _, _ := r.Last()
		is := k.Lease
		switch {
		case is.EffectiveMS >= own:
			return nil
		case is == task.Lease{}:
			if _, err := r.swapLease(ctx, is, task.Lease{EffectiveMS: own, AnnouncedMS: own}); err != nil {
				return err
			}
		case is.AnnouncedMS < own:
			failpoint.Hit("lease/announce")
			if _, err := r.swapLease(ctx, is, task.Lease{EffectiveMS: is.EffectiveMS, AnnouncedMS: own}); err != nil {
				return err
			}
			r.report.Info("Lease is longer than any before, and is used after a while", "lease_ms", own, "before_ms", is.EffectiveMS, "after_ms", Hold.Milliseconds())
		case !waited:
			wait.For(ctx, Hold)
			waited = true
		default:
			failpoint.Hit("lease/effective")
			if _, err := r.swapLease(ctx, is, task.Lease{EffectiveMS: own, AnnouncedMS: is.AnnouncedMS}); err != nil {
				return err
			}
			failpoint.Hit("lease/end")
		}
	}
	return ctx.Err()
}

// swapLease records a lease if old is what is recorded.
func (r *Reader) swapLease(ctx context.Context, old, to task.Lease) (bool, error) {
	return SwapValue(ctx, r.store, task.RecordLease, old, to)
}

// LongestLease is the longest lease of all workers of the namespace. If the records are older
// than MaxAge it is MaxLease: a worker may have announced a longer lease since they were read, and
// waited for Hold, so no shorter lease is certain.
func (r *Reader) LongestLease() time.Duration {
	k, age, _ := r.Last()
	if k.Lease.AnnouncedMS == 0 || age > MaxAge {
		return MaxLease
	}
	return time.Duration(k.Lease.AnnouncedMS) * time.Millisecond
}
