package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook"
)

// slow starts a process whose handlers take long beside the fast one, and measures
// the pace of Create and Delete before and while.
func slow(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.untilDue(ctx, 0)
	before, err := r.pace(ctx, r.size.spread/4)
	if err != nil {
		return err
	}
	w := r.spec
	w.Hold = r.size.span
	if err := r.fleet.start(w); err != nil {
		return err
	}
	pid := r.fleet.workers[len(r.fleet.workers)-1].pid()
	pause(ctx, time.Second) // it is up, and its hands are full
	while, err := r.pace(ctx, time.Until(r.first.Add(r.size.spread)))
	if err != nil {
		return err
	}
	if err := r.history.update(); err != nil {
		return err
	}
	took := 0
	for _, ds := range r.history.tasks {
		for _, d := range ds {
			if d.pid == pid {
				took++
			}
		}
	}
	r.figure("taken_by_slow", float64(took))
	if took < r.handlers {
		r.broke("the slow process took %d tasks only: the run shows nothing", took)
	}
	r.compare(before, while)
	return nil
}

// compare holds Create and Delete to their pace. A twentieth, with the race
// detector on a busy machine, tells orders of magnitude only.
func (r *run) compare(before, while time.Duration) {
	r.figure("create_delete_before_ms", before.Seconds()*1000)
	r.figure("create_delete_while_ms", while.Seconds()*1000)
	limit := 2 * before
	if r.scaled {
		limit = 20*before + 100*time.Millisecond
	}
	if while > limit {
		r.broke("a Create and its Delete take %s beside the slow process and took %s before", while, before)
	}
}

// pace creates and deletes tasks one by one for d, and returns the median time of
// a pair.
func (r *run) pace(ctx context.Context, d time.Duration) (time.Duration, error) {
	var took []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; {
		start := time.Now()
		t := &triggerhook.Task{Due: start.Add(30 * time.Second), Payload: make([]byte, 100)}
		if err := r.driver.sch.Create(ctx, t); err != nil {
			return 0, err
		}
		if err := r.driver.sch.Delete(ctx, t.ID); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	if len(took) == 0 {
		return 0, fmt.Errorf("nothing was created within %s", d)
	}
	slices.Sort(took)
	return quantile(took, 0.5), nil
}
