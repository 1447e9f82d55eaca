package removal

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// All methods of hotset.Set except Remove and RemoveHeld pass the call on.
var _ hotset.Set = (*Retrier)(nil)

// Config implements hotset.Set.
func (r *Retrier) Config() hotset.Config { return r.set.Config() }

// Expect implements hotset.Set.
func (r *Retrier) Expect(e task.Expected) error { return r.set.Expect(e) }

// Clock implements hotset.Set.
func (r *Retrier) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return r.set.Clock(ctx, p)
}

// Check implements hotset.Set.
func (r *Retrier) Check(ctx context.Context, p int) error { return r.set.Check(ctx, p) }

// State implements hotset.Set.
func (r *Retrier) State(ctx context.Context, p int) (task.State, error) {
	return r.set.State(ctx, p)
}

// Waiting implements hotset.Set.
func (r *Retrier) Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error) {
	return r.set.Waiting(ctx, p, belowMS...)
}

// Horizon implements hotset.Set.
func (r *Retrier) Horizon(ctx context.Context, p int, h task.HorizonRequest) (task.PartitionStatus, error) {
	return r.set.Horizon(ctx, p, h)
}

// Feed implements hotset.Set.
func (r *Retrier) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return r.set.Feed(ctx, p, page)
}

// Add implements hotset.Set.
func (r *Retrier) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	return r.set.Add(ctx, p, a)
}

// Claim implements hotset.Set.
func (r *Retrier) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	return r.set.Claim(ctx, p, req)
}

// Pause implements hotset.Set.
func (r *Retrier) Pause(ctx context.Context, p int) error { return r.set.Pause(ctx, p) }

// Extend implements hotset.Set.
func (r *Retrier) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	return r.set.Extend(ctx, p, h)
}

// Release implements hotset.Set.
func (r *Retrier) Release(ctx context.Context, p int, back task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return r.set.Release(ctx, p, back)
}

// Find implements hotset.Set.
func (r *Retrier) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return r.set.Find(ctx, p, refs)
}

// Expired implements hotset.Set.
func (r *Retrier) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return r.set.Expired(ctx, p, limit, lease)
}

// Elect implements hotset.Set.
func (r *Retrier) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	return r.set.Elect(ctx, holder, term, roles...)
}

// Heartbeat implements hotset.Set.
func (r *Retrier) Heartbeat(ctx context.Context, worker string, report []byte) error {
	return r.set.Heartbeat(ctx, worker, report)
}

// Workers implements hotset.Set.
func (r *Retrier) Workers(ctx context.Context, roles ...task.Role) (task.Roster, error) {
	return r.set.Workers(ctx, roles...)
}

// Watch implements hotset.Set.
func (r *Retrier) Watch(ctx context.Context, w task.Watcher) error {
	return r.set.Watch(ctx, w)
}
