package agent

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// reaper gives back the batches whose lease has expired: their worker has died, or cannot reach
// the hot set.
//
// ReapStanding: it gives back only members whose rows exist, by a read that came after it had
// seen the time, and only if the lease of their batch is still expired then. It removes a member that
// has no row, because the task was deleted or confirmed.
type reaper struct{ o Options }

const (
	// reapEvery is the longest time between two rounds. With a short lease it is a quarter of the lease.
	reapEvery = 3 * time.Second
	// reapBatches is how many batches are asked for at once.
	reapBatches = 10
)

func newReaper(o Options) *reaper { return &reaper{o: o} }

// round reaps all partitions once, and returns when to come again.
func (r *reaper) round(ctx context.Context) time.Duration {
	for p := range r.o.parts {
		r.reap(ctx, p)
	}
	return min(r.o.Lease/4, reapEvery)
}

// reap gives back the batches of a partition whose lease has expired.
func (r *reaper) reap(ctx context.Context, p int) {
	for {
		expired, err := r.o.Set.Expired(ctx, p, reapBatches, r.o.Lease)
		if err != nil {
			r.o.Report.Error("look for expired leases", err, "looked for again", "partition", p)
			return
		}
		for _, b := range expired {
			if err := r.reapBatch(ctx, p, b); err != nil {
				if !errors.Is(err, task.ErrStale) && !errors.Is(err, task.ErrCold) {
					r.o.Report.Error("reap a batch", err, "reaped again", "partition", p)
				}
				return
			}
		}
		if len(expired) < reapBatches {
			return
		}
	}
}

// reapBatch gives back the members of a batch whose rows exist, and removes the others
// (ReapStanding). It is one pass through both stores: ask the time, read the rows, remove, give
// back.
func (r *reaper) reapBatch(ctx context.Context, p int, b task.ExpiredBatch) error {
	failpoint.Hit("reap/read")
	asOf, err := r.o.Set.Clock(ctx, p) // before the rows (AsOfBeforeRead)
	if err != nil {
		return err
	}
	ids := make([]string, len(b.Refs))
	for i, ref := range b.Refs {
		ids[i] = ref.ID
	}
	refs, err := r.o.Store.Versions(ctx, ids)
	if err != nil {
		return err
	}
	exists := make(map[task.Ref]bool, len(refs))
	for _, ref := range refs {
		exists[ref] = true
	}
	back := task.ReleaseRequest{Token: b.Token, AtNext: true, Counted: true, Expired: true, AsOf: asOf}
	var gone []task.Ref
	for _, ref := range b.Refs {
		if exists[ref] {
			back.Refs = append(back.Refs, ref)
		} else {
			gone = append(gone, ref)
		}
	}
	if len(gone) > 0 {
		// First without a token, which leaves a mark for Delete: the worker of the batch may have
		// extended its lease meanwhile, and may have the task in hand.
		failpoint.Hit("reap/remove")
		for _, token := range []string{"", b.Token} {
			if _, err := r.o.Set.Remove(ctx, p, token, gone); err != nil {
				return err
			}
		}
	}
	if len(back.Refs) == 0 && len(gone) > 0 {
		return nil // the batch ended with its last member
	}
	failpoint.Hit("reap/requeue")

	// The commit point: one script gives the members back, if the lease is still expired. No row
	// changes. A crash before it leaves an expired batch, perhaps without the members that had no row,
	// and the next reaper begins anew. A crash after it leaves nothing to repair.
	if _, err := r.o.Set.Release(ctx, p, back); err != nil {
		return err
	}
	failpoint.Hit("reap/end")
	return nil
}
