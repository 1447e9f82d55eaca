package main

import (
	"context"
	"fmt"
	"time"
)

// inHand is how many tasks each worker is to have in hand at a flush.
const inHand = 100

// flush empties Redis while each worker has 100 tasks in hand, which take longer
// than it takes to begin a new generation. From the first flush on there is one
// more process, with free hands: it would be given again what the others do not
// register.
func flush(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.untilDue(ctx, 0)
	free := r.spec
	free.Hold = 0
	held := 0
	for i := range r.size.times {
		n, err := r.busy(ctx)
		if err != nil {
			return err
		}
		held += n
		if i == 0 {
			if err := r.fleet.start(free); err != nil {
				return err
			}
		}
		if err := r.driver.rdb.FlushAll(ctx).Err(); err != nil {
			return fmt.Errorf("flush Redis: %w", err)
		}
		pause(ctx, r.size.hold) // all of those are done, or lost
	}
	r.figure("flushes", float64(r.size.times))
	r.figure("held_at_flush", float64(held))
	return nil
}

// busy waits until each of the first workers has its tasks in hand, and returns
// how many they have in all.
func (r *run) busy(ctx context.Context) (int, error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); pause(ctx, 20*time.Millisecond) {
		if err := r.history.update(); err != nil {
			return 0, err
		}
		held, all, ready := r.history.held(), 0, 0
		for _, w := range r.fleet.workers[:r.workers] {
			all += held[w.pid()]
			if held[w.pid()] >= inHand {
				ready++
			}
		}
		if ready == r.workers {
			return all, nil
		}
	}
	return 0, fmt.Errorf("workers do not have %d tasks each in hand: %v", inHand, r.history.held())
}
