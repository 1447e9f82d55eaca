package breaker

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

var _ hotset.Set = (*Breaker)(nil)

// Config implements hotset.Set.
func (b *Breaker) Config() hotset.Config { return b.set.Config() }

// Expect implements hotset.Set.
func (b *Breaker) Expect(e task.Expected) error { return b.set.Expect(e) }

// Watch implements hotset.Set. It goes past the breaker.
func (b *Breaker) Watch(ctx context.Context, w task.Watcher) error {
	return b.set.Watch(ctx, w)
}

// Clock implements hotset.Set.
func (b *Breaker) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) (task.AsOf, error) { return b.set.Clock(ctx, p) })
}

// Check implements hotset.Set.
func (b *Breaker) Check(ctx context.Context, p int) error {
	_, err := ask(ctx, b, p, callTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.set.Check(ctx, p) })
	return err
}

// State implements hotset.Set.
func (b *Breaker) State(ctx context.Context, p int) (task.State, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) (task.State, error) { return b.set.State(ctx, p) })
}

// Waiting implements hotset.Set.
func (b *Breaker) Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) (task.WaitingCounts, error) { return b.set.Waiting(ctx, p, belowMS...) })
}

// Horizon implements hotset.Set.
func (b *Breaker) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	return ask(ctx, b, p, scanTimeout, func(ctx context.Context) (task.PartitionStatus, error) { return b.set.Horizon(ctx, p, f) })
}

// Feed implements hotset.Set.
func (b *Breaker) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return ask(ctx, b, p, scanTimeout, func(ctx context.Context) (task.PartitionStatus, error) { return b.set.Feed(ctx, p, page) })
}

// Add implements hotset.Set.
func (b *Breaker) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) ([]task.AddOutcome, error) { return b.set.Add(ctx, p, a) })
}

// Remove implements hotset.Set.
func (b *Breaker) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) (task.RemoveResult, error) { return b.set.Remove(ctx, p, token, refs) })
}

// RemoveHeld implements hotset.Set.
func (b *Breaker) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	_, err := ask(ctx, b, p, callTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.set.RemoveHeld(ctx, p, held) })
	return err
}

// Claim implements hotset.Set.
func (b *Breaker) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) (task.Batch, error) {
		return b.set.Claim(ctx, p, req)
	})
}

// Pause implements hotset.Set.
func (b *Breaker) Pause(ctx context.Context, p int) error {
	_, err := ask(ctx, b, p, callTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.set.Pause(ctx, p) })
	return err
}

// Extend implements hotset.Set. It waits for an open breaker to close.
func (b *Breaker) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	if err := b.await(ctx, p); err != nil {
		return task.ExtendResult{}, err
	}
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) (task.ExtendResult, error) { return b.set.Extend(ctx, p, h) })
}

// Release implements hotset.Set.
func (b *Breaker) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) ([]task.ReleaseOutcome, error) { return b.set.Release(ctx, p, r) })
}

// Find implements hotset.Set.
func (b *Breaker) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return ask(ctx, b, p, scanTimeout, func(ctx context.Context) ([]task.FindResult, error) { return b.set.Find(ctx, p, refs) })
}

// Expired implements hotset.Set.
func (b *Breaker) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return ask(ctx, b, p, callTimeout, func(ctx context.Context) ([]task.ExpiredBatch, error) { return b.set.Expired(ctx, p, limit, lease) })
}

// Elect implements hotset.Set. The roles live in partition 0.
func (b *Breaker) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	return ask(ctx, b, 0, callTimeout, func(ctx context.Context) ([]task.Term, error) { return b.set.Elect(ctx, holder, term, roles...) })
}

// Heartbeat implements hotset.Set.
func (b *Breaker) Heartbeat(ctx context.Context, worker string, report []byte) error {
	_, err := ask(ctx, b, 0, callTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.set.Heartbeat(ctx, worker, report) })
	return err
}

// Workers implements hotset.Set.
func (b *Breaker) Workers(ctx context.Context, roles ...task.Role) (task.Roster, error) {
	return ask(ctx, b, 0, callTimeout, func(ctx context.Context) (task.Roster, error) { return b.set.Workers(ctx, roles...) })
}
