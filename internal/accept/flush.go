package main

import (
	"context"
	"fmt"
	"time"
)

// inHand is how many tasks each worker is to have in hand at a flush.
const inHand = 100

// flush empties Redis while each worker has 100 tasks in hand. There is more to do
// than the workers can, so they always have.
func flush(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.untilDue(ctx, 0)
	held := 0
	for range r.size.times {
		n, err := r.busy(ctx)
		if err != nil {
			return err
		}
		held += n
		if err := r.driver.rdb.FlushAll(ctx).Err(); err != nil {
			return fmt.Errorf("flush Redis: %w", err)
		}
		pause(ctx, 2*r.size.hold) // all of those are done, or lost
	}
	r.figure("flushes", float64(r.size.times))
	r.figure("held_at_flush", float64(held))
	return nil
}

// busy waits until each worker has its tasks in hand, and returns how many they
// have in all.
func (r *run) busy(ctx context.Context) (int, error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); pause(ctx, 20*time.Millisecond) {
		if err := r.history.update(); err != nil {
			return 0, err
		}
		held, all, ready := r.history.held(), 0, 0
		for _, w := range r.fleet.workers {
			all += held[w.pid()]
			if held[w.pid()] >= inHand {
				ready++
			}
		}
		if ready == len(r.fleet.workers) {
			return all, nil
		}
	}
	return 0, fmt.Errorf("workers do not have %d tasks each in hand: %v", inHand, r.history.held())
}
