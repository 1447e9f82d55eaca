package agent

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// reaper gives back the batches whose lease is over: their worker has died, or cannot reach
// the hot set.
//
// ReapStanding: it gives back only members whose rows stand, by a read that came after it had
// seen the time, and only while the lease of their batch is still over. A member without a row
// was deleted or confirmed, and is removed.
type reaper struct{ o Options }

func newReaper(o Options) *reaper { return &reaper{o: o} }

// round reaps all partitions once, and returns when to come again.
func (r *reaper) round(ctx context.Context) time.Duration {
	for p := range r.o.parts {
		r.reap(ctx, p)
	}
	return min(r.o.Lease/4, 3*time.Second)
}

// reap gives the batches of a partition back whose lease is over.
func (r *reaper) reap(ctx context.Context, p int) {
	for {
		const most = 10
		over, err := r.o.Set.Expired(ctx, p, most, r.o.Lease)
		if err != nil {
			r.o.Report.Error("look for expired leases", err, "looked for again", "partition", p)
			return
		}
		for _, b := range over {
			if err := r.reapBatch(ctx, p, b); err != nil {
				if !errors.Is(err, task.ErrStale) && !errors.Is(err, task.ErrCold) {
					r.o.Report.Error("reap a batch", err, "reaped again", "partition", p)
				}
				return
			}
		}
		if len(over) < most {
			return
		}
	}
}

// reapBatch gives back the members of a batch whose rows stand, and removes the others
// (ReapStanding).
//
// It is one pass through both stores: the moment, the rows, the removals, the requeue. A
// reaper that dies in between leaves an expired batch, and the next reaper begins anew.
func (r *reaper) reapBatch(ctx context.Context, p int, b task.ExpiredBatch) error {
	failpoint.Hit("reap/read")
	asOf, err := r.o.Set.Clock(ctx, p)
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
	stand := make(map[task.Ref]bool, len(refs))
	for _, ref := range refs {
		stand[ref] = true
	}
	back := task.ReleaseRequest{Token: b.Token, AtDue: true, Counted: true, Expired: true, AsOf: asOf}
	var gone []task.Ref
	for _, ref := range b.Refs {
		if stand[ref] {
			back.Refs = append(back.Refs, ref)
		} else {
			gone = append(gone, ref)
		}
	}
	if len(gone) > 0 {
		// First without a token, which leaves a mark for Delete: the batch's worker may have got
		// its lease back meanwhile, and may have the task in hand.
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
	if _, err := r.o.Set.Release(ctx, p, back); err != nil {
		return err
	}
	failpoint.Hit("reap/end")
	return nil
}
