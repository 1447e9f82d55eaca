package main

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/history"
)

// errDoomed is what each attempt of a task fails with that is to become a dead letter.
var errDoomed = errors.New("this task always fails")

// doomed reports whether the task always fails, until it is dead: a few do.
func (w *worker) doomed(id string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // it never fails
	return (h.Sum32()>>8)%64 == 0
}

// failSomehow fails in one of the ways that an error can tell.
func (w *worker) failSomehow(d *triggerhook.Delivery, n int64, r *rand.Rand) {
	delay := time.Duration(r.Int64N(int64(time.Second)))
	switch k := r.IntN(5); k {
	case 0:
		w.fail(d, n, errors.New("it failed"), retryDelay)
	case 1:
		w.fail(d, n, triggerhook.RetryAfter(delay), delay)
	case 2:
		e := history.Event{Op: history.Discard, Call: n, ID: d.ID}
		w.rec.Write(e)
		w.end(e, d.Fail(context.Background(), triggerhook.Discard("not wanted")))
	default:
		if _, was := w.snoozed.LoadOrStore(d.ID, true); was {
			w.confirm(d, n)
			return
		}
		if r.IntN(8) == 0 {
			delay += window
		}
		e := history.Event{Op: history.Rollback, Call: n, ID: d.ID, DelayMS: delay.Milliseconds(), Kind: history.Snoozed}
		w.rec.Write(e)
		w.end(e, d.Fail(context.Background(), triggerhook.Snooze(delay)))
	}
}

// fail fails with cause, after which the task waits for delay, or is dead if it was its last attempt.
func (w *worker) fail(d *triggerhook.Delivery, n int64, cause error, delay time.Duration) {
	e := givenBack(d, n, delay)
	w.rec.Write(e)
	w.end(e, d.Fail(context.Background(), cause))
}

// givenBack is the line of a failure, which counts as an attempt.
func givenBack(d *triggerhook.Delivery, n int64, delay time.Duration) history.Event {
	if d.Attempt >= maxAttempts {
		return history.Event{Op: history.Discard, Call: n, ID: d.ID}
	}
	return history.Event{Op: history.Rollback, Call: n, ID: d.ID, DelayMS: delay.Milliseconds()}
}

// raise requeues some of the tasks that this process has buried, until ctx ends.
func (w *worker) raise(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-w.dead:
			if r := w.random(id + "/raise"); r.IntN(3) == 0 {
				pause(ctx, time.Duration(r.Int64N(int64(500*time.Millisecond))))
				w.requeue(id, due(r, 6))
			}
		}
	}
}

// requeue calls again while the outcome is unknown.
func (w *worker) requeue(id string, to time.Time) {
	for range 3 {
		e := history.Event{Op: history.Requeue, Call: w.rec.Call(), ID: id, DueMS: to.UnixMilli()}
		w.rec.Write(e)
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		got := w.end(e, w.s.Requeue(ctx, id, to))
		cancel()
		if got != history.Unknown {
			return
		}
		pause(context.Background(), 100*time.Millisecond)
	}
}

// onConflicts are the ways of an upsert.
var onConflicts = []struct {
	name string
	on   triggerhook.OnConflict
}{{history.Keep, triggerhook.Keep}, {history.Replace, triggerhook.Replace}, {history.Earliest, triggerhook.Earliest}, {history.Debounce, triggerhook.Debounce}}

// upsert creates t anew, or changes it if it exists, and repeats the same call while the outcome is unknown.
func (w *worker) upsert(r *rand.Rand, t *triggerhook.Task, _ int64) history.Result {
	how, mark := onConflicts[r.IntN(len(onConflicts))], w.rec.Call()
	own := &triggerhook.Task{ID: t.ID, Due: due(r, 5), Payload: payload(mark, 50)}
	for range 3 {
		e := history.Event{Op: history.Upsert, Call: w.rec.Call(), ID: t.ID, DueMS: own.Due.UnixMilli(), Pay: mark, Conflict: how.name}
		w.rec.Write(e)
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		got, err := w.s.Upsert(ctx, how.on, own)
		cancel()
		if e.End, e.Result = true, history.Unknown; err == nil {
			e.Result = history.Result(got[0].String())
		} else {
			e.Error = err.Error()
		}
		w.rec.Write(e)
		if err == nil {
			break
		}
		pause(context.Background(), 100*time.Millisecond)
	}
	return history.OK
}

// payload is one of that length whose mark pay reads.
func payload(mark int64, size int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(mark)), make([]byte, max(0, size-8))...)
}

// pay is the mark of a payload, 0 of one that the hot set does not hold: only upserts set marks, and theirs are short.
func pay(p []byte) int64 {
	if len(p) < 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(p))
}
