package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// kill kills workers at any moment, one after the other, and starts others. A kill
// counts only if the process had tasks in hand.
func kill(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.untilDue(ctx, 0)
	start, met, hands := time.Now(), 0, 0
	for met < r.size.times && ctx.Err() == nil {
		pause(ctx, time.Duration((0.5+rand.Float64())*float64(r.size.span)))
		i := rand.N(len(r.fleet.workers))
		pid := r.fleet.kill(i)
		if err := r.history.update(); err != nil {
			return err
		}
		if n := r.history.held()[pid]; n > 0 {
			met, hands = met+1, hands+n
		}
		if err := r.fleet.restart(i); err != nil {
			return err
		}
		if len(r.history.tasks) == r.size.tasks {
			break
		}
	}
	r.figure("kills", float64(met))
	r.figure("in_killed_hands", float64(hands))
	r.figure("killing_s", time.Since(start).Seconds())
	if met < r.size.times {
		r.broke("only %d of %d kills met tasks in hand", met, r.size.times)
	}
	return nil
}
