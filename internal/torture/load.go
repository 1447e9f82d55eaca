package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/history"
)

const (
	// callTime bounds one call, as a caller in his senses does.
	callTime = 10 * time.Second
	// callers create at once in a worker.
	callers = 4
	// perCall is how many tasks one call creates at most.
	perCall = 5
)

// load creates tasks until it is told to be quiet or ctx ends, and then waits for
// the changes of mind that are still to come.
func (w *worker) load(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-w.quiet:
			cancel()
		case <-ctx.Done():
		}
	}()
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			r := w.random(fmt.Sprint(w.Who, "/caller/", c))
			mean := time.Duration(float64(time.Second) * callers * (1 + perCall) / 2 / w.Rate)
			for n := 0; ctx.Err() == nil; n++ {
				w.create(ctx, r, fmt.Sprintf("%s.%d.%d", w.Who, c, n), &all)
				pause(ctx, time.Duration(r.Int64N(int64(2*mean))))
			}
		})
	}
	all.Go(func() { w.lots(ctx, &all) })
	all.Go(func() { w.raise(ctx) })
	all.Wait()
}

// create creates some tasks, some calls in a transaction, calls again while the outcome is unknown, and changes
// its mind about some of them later.
func (w *worker) create(ctx context.Context, r *rand.Rand, name string, all *sync.WaitGroup) {
	tasks := make([]*triggerhook.Task, 1+r.IntN(perCall))
	for i := range tasks {
		size := 50
		if r.IntN(20) == 0 {
			size = 2000 // beyond Options.InlinePayload
		}
		tasks[i] = &triggerhook.Task{ID: fmt.Sprint(name, ".", i), Due: due(r, 0), Payload: make([]byte, size)}
	}
	steady := w.hasty(ctx, r, tasks, all)
	for _, t := range steady {
		if r.IntN(100) < 6 {
			t.Expires = t.Due.Add(time.Duration(r.Int64N(2000)) * time.Millisecond)
		}
	}
	if r.IntN(5) == 0 {
		w.createTxUntilKnown(ctx, r, tasks)
	} else {
		w.createUntilKnown(tasks)
	}
	for _, t := range steady {
		if act := w.change(r.IntN(100)); act != nil && t.Expires.IsZero() {
			all.Go(func() { w.later(ctx, t, act) })
		}
	}
}

// changeOf is a change of mind about a task. Its last argument counts tries.
type changeOf = func(*rand.Rand, *triggerhook.Task, int64) history.Result

// change is the change of mind that k of 100 stands for, nil for most.
func (w *worker) change(k int) changeOf {
	switch {
	case k < 6:
		return w.delete
	case k < 12:
		return w.reschedule
	case k < 16:
		return w.deleteTx
	case k < 19:
		return w.rescheduleTx
	case k < 25:
		return w.upsert
	}
	return nil
}

// hasty changes its mind about some tasks while they are being created, and returns
// the others. What it meets may be no row, a row that the hot set does not know of,
// or one that it does.
func (w *worker) hasty(ctx context.Context, r *rand.Rand, tasks []*triggerhook.Task, all *sync.WaitGroup) (steady []*triggerhook.Task) {
	for _, t := range tasks {
		k, wait := r.IntN(100), time.Duration(r.Int64N(int64(30*time.Millisecond)))
		if k >= 6 {
			steady = append(steady, t)
			continue
		}
		act := w.delete
		if k < 3 {
			act = w.reschedule
		}
		copied := *t // Create fills t in
		all.Go(func() {
			pause(ctx, wait)
			act(w.random(copied.ID+"/hasty"), &copied, 0)
		})
	}
	return steady
}

// due is in the past, soon, beyond the window, or so far that Redis is told nothing of the
// task until the feeder comes to it; by the machine's clock, whatever
// this process's is. Its last digit base 8 is n, so that two offers of one task, of
// different n, have different times.
func due(r *rand.Rand, n int64) time.Time {
	at := history.Now() / 1000
	switch k := r.IntN(10); {
	case k < 2:
		at -= r.Int64N(1000)
	case k < 8:
		at += r.Int64N(window.Milliseconds())
	case k < 9:
		at += window.Milliseconds() + r.Int64N(2*window.Milliseconds())
	default:
		at += farAhead.Milliseconds() + r.Int64N(window.Milliseconds())
	}
	return time.UnixMilli(at&^7 | n).UTC()
}

// createUntilKnown calls again while the outcome is unknown, up to three times.
func (w *worker) createUntilKnown(tasks []*triggerhook.Task) {
	for range 4 {
		if got := w.createOnce(tasks); got != history.Unknown {
			return
		}
		pause(context.Background(), 200*time.Millisecond)
	}
}

func (w *worker) createOnce(tasks []*triggerhook.Task) (got history.Result) {
	n := w.rec.Call()
	var lines []history.Event
	for _, t := range tasks {
		lines = append(lines, created(t, n))
	}
	w.rec.Write(lines...)
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	err := w.s.Create(ctx, tasks...)
	for _, e := range lines {
		got = w.end(e, err)
	}
	return got
}

// created is the line of a create of t.
func created(t *triggerhook.Task, n int64) history.Event {
	return history.Event{Op: history.Create, Call: n, ID: t.ID, DueMS: t.Due.UnixMilli(), ExpiresMS: expiresMS(t)}
}

// expiresMS is when t expires, 0 if it does not.
func expiresMS(t *triggerhook.Task) int64 {
	if t.Expires.IsZero() {
		return 0
	}
	return t.Expires.UnixMilli()
}

// later does act to t at some time until shortly after it is due.
func (w *worker) later(ctx context.Context, t *triggerhook.Task, act changeOf) {
	r := w.random(t.ID + "/later")
	wait := max(0, t.Due.Sub(time.UnixMicro(history.Now()))) + 200*time.Millisecond
	pause(ctx, time.Duration(r.Float64()*float64(wait)))
	for n := range int64(3) {
		if act(r, t, n) != history.Unknown {
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (w *worker) delete(_ *rand.Rand, t *triggerhook.Task, _ int64) history.Result {
	e := history.Event{Op: history.Delete, Call: w.rec.Call(), ID: t.ID}
	w.rec.Write(e)
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	return w.end(e, w.s.Delete(ctx, t.ID))
}

func (w *worker) reschedule(r *rand.Rand, t *triggerhook.Task, n int64) history.Result {
	to := due(r, 1+n)
	e := history.Event{Op: history.Reschedule, Call: w.rec.Call(), ID: t.ID, DueMS: to.UnixMilli()}
	w.rec.Write(e)
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	return w.end(e, w.s.Reschedule(ctx, t.ID, to))
}
