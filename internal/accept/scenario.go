package main

import (
	"context"
	"time"
)

// size is how big a scenario is.
type size struct {
	tasks  int           // created before the first of them is due
	lead   time.Duration // from the first create to the first due time
	spread time.Duration // over which they fall due
	hold   time.Duration // how long a worker has a task in hand
	lease  time.Duration // 0: the library's default
	live   int           // more tasks, created one by one meanwhile, a second
	times  int           // how often the trouble happens
	span   time.Duration // how long the trouble lasts, or a measurement
	late99 time.Duration // 99 % of first deliveries are to be less late; 0: reported only
	late   time.Duration // all are to be less late; 0: reported only
}

// scenario is one heavy run.
type scenario struct {
	name     string
	workers  int
	handlers int // in each worker
	full     size
	small    size // a twentieth of the tasks
	play     func(context.Context, *run) error
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

// scenarios are the heavy runs that the project promises to pass.
var scenarios = []scenario{
	{
		// each delivered exactly once, none early
		name: "burst", workers: 4, handlers: 64, play: quiet,
		full:  size{tasks: 100_000, lead: 15 * sec, spread: 10 * sec},
		small: size{tasks: 5_000, lead: 7 * sec, spread: 1 * sec},
	},
	{
		// 2,000 tasks a second; the bound holds on an idle machine
		name: "steady", workers: 4, handlers: 64, play: quiet,
		full:  size{tasks: 60_000, lead: 10 * sec, spread: 30 * sec, late99: 50 * ms},
		small: size{tasks: 3_000, lead: 5 * sec, spread: 3 * sec, late99: 5 * sec},
	},
	{
		// workers are killed while they hold tasks, one after the other
		name: "kill", workers: 4, handlers: 64, play: kill,
		full:  size{tasks: 100_000, lead: 15 * sec, spread: 10 * sec, hold: 100 * ms, lease: 5 * sec, times: 20, span: 1500 * ms},
		small: size{tasks: 5_000, lead: 7 * sec, spread: 1 * sec, hold: 150 * ms, lease: 5 * sec, times: 3, span: 400 * ms},
	},
	{
		// a process that takes long beside a fast one; leases are shorter than its work
		name: "slow", workers: 1, handlers: 64, play: slow,
		full:  size{tasks: 40_000, lead: 8 * sec, spread: 40 * sec, lease: 5 * sec, span: 10 * sec, late: 1500 * ms},
		small: size{tasks: 2_000, lead: 4 * sec, spread: 8 * sec, lease: 2 * sec, span: 5 * sec, late: 4 * sec},
	},
	{
		// FLUSHALL while each worker has 100 tasks in hand
		name: "flush", workers: 4, handlers: 128, play: flush,
		full:  size{tasks: 20_000, lead: 5 * sec, spread: 60 * sec, hold: 8 * sec, times: 5},
		small: size{tasks: 1_000, lead: 3 * sec, spread: 100 * ms, hold: 8 * sec, times: 1},
	},
	{
		// Redis is away and comes back empty, then MySQL is away
		name: "outage", workers: 4, handlers: 64, play: outage,
		full:  size{tasks: 40_000, lead: 8 * sec, spread: 60 * sec, hold: 5 * ms, live: 200, times: 1, span: 10 * sec},
		small: size{tasks: 2_000, lead: 4 * sec, spread: 10 * sec, hold: 5 * ms, live: 100, times: 1, span: 2 * sec},
	},
	{
		// Redis comes back with what it held a span ago
		name: "snapshot", workers: 4, handlers: 64, play: snapshot,
		full:  size{tasks: 40_000, lead: 8 * sec, spread: 80 * sec, hold: 5 * ms, live: 100, span: 60 * sec},
		small: size{tasks: 2_000, lead: 4 * sec, spread: 7 * sec, hold: 5 * ms, live: 100, span: 3 * sec},
	},
	{
		// all due in one millisecond, preloaded beforehand
		name: "moment", workers: 4, handlers: 64, play: moment,
		full:  size{tasks: 300_000, lead: 45 * sec},
		small: size{tasks: 15_000, lead: 14 * sec},
	},
	{
		// workers with nothing to do, and then with tasks that wait
		// the span is a multiple of all periods (5, 8 and 10 s), so that each counts as often as it comes
		name: "idle", workers: 5, handlers: 64, play: idle,
		full:  size{tasks: 100_000, lead: 75 * sec, span: 40 * sec},
		small: size{tasks: 5_000, lead: 57 * sec, span: 40 * sec},
	},
}

// quiet is a scenario without trouble.
func quiet(ctx context.Context, r *run) error { return r.create(ctx) }

// moment waits until all are preloaded, for their due time is the same.
func moment(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.preloaded(ctx, r.size.tasks, time.Until(r.first)-500*ms)
	return nil
}
