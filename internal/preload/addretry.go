package preload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

const (
	// maxWaiting is how many rows may wait to be added later. The auditor finds the others, and
	// those that have waited for maxAge.
	maxWaiting = 100_000
	maxAge     = time.Minute
	// retryRows is how many rows are added in one retry, and retryTimeout bounds that.
	retryRows    = 1000
	retryTimeout = 5 * time.Second
)

// queue holds the versions of tasks that were created, or given another due time, while the
// hot set did not answer. The feeder may have read past their due times, and the auditor
// would find them only after its grace.
type queue struct {
	mu    sync.Mutex
	since map[task.Ref]time.Time // when each began to wait
}

// Enqueue adds rows once the hot set answers again. The rows are committed, or may be.
func (a *Adder) Enqueue(rows []task.Row) { a.enqueue(rows, time.Now()) }

// enqueue is Enqueue of rows that have waited since then.
func (a *Adder) enqueue(rows []task.Row, since time.Time) {
	if len(rows) == 0 {
		return
	}
	if over := a.queue.push(rows, since); over > 0 {
		a.giveUp(over, fmt.Errorf("%d tasks wait to be added already", maxWaiting))
	}
	a.loop.Start()
}

// giveUp reports that this process does not add n tasks.
func (a *Adder) giveUp(n int, err error) {
	a.o.Failures.GiveUp(n, err)
	a.o.Report.Error("add tasks later", err, "the auditor finds them", "tasks", n)
}

// PendingSince returns how many rows have waited since then at the latest, to be retried or in adds that linger.
func (a *Adder) PendingSince(then time.Time) int {
	lingering := a.waiting.BegunBy(then) // first: from there a row goes into the queue
	return lingering + a.queue.waitingSince(then)
}

// Clear empties the queue, and returns how many rows were in it.
func (a *Adder) Clear() int { return a.queue.clear() }

// Hurry retries at once all rows that wait.
func (a *Adder) Hurry() { a.loop.Hurry() }

// Cut ends the retries, and cancels the one that is under way. The queue stays.
func (a *Adder) Cut() { a.loop.Cut() }

// Halt ends the retries, and returns once they have ended. The queue stays.
func (a *Adder) Halt() { a.loop.Halt() }

// retryAll tries all rows that wait once.
func (a *Adder) retryAll(ctx context.Context) {
	for p, all := range a.queue.byPartition(a.parts) {
		for rows := range slices.Chunk(all, retryRows) {
			err := a.retry(ctx, p, rows)
			if errors.Is(err, task.ErrClosed) {
				a.o.Closed(err)
				return
			}
			if err != nil && ctx.Err() != nil {
				return // cut
			}
			a.finish(p, rows, err)
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// retry reads which of rows still exist, and adds those.
func (a *Adder) retry(ctx context.Context, p int, rows []task.Row) error {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	asOf, found, err := a.Reread(ctx, p, rows)
	if err != nil || len(found) == 0 {
		return err
	}
	n, err := a.AddRows(ctx, p, asOf, found)
	a.added.Add(uint64(n))
	return err
}

// finish removes rows from the queue if their retry succeeded, or if they have waited for too
// long.
func (a *Adder) finish(p int, rows []task.Row, err error) {
	a.o.Failures.Note(err)
	if err != nil {
		a.o.Report.Error("add created tasks", err, "tried again in a second", "partition", p)
	}
	if err == nil || errors.Is(err, task.ErrMismatch) { // the hot set belongs to another durable store
		a.queue.remove(rows)
	} else if n := a.queue.expire(rows); n > 0 {
		a.giveUp(n, fmt.Errorf("they have waited for %s: %w", maxAge, err))
	}
}

// push queues rows that have waited since then, and returns for how many of them the queue has no place.
func (q *queue) push(rows []task.Row, since time.Time) (over int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range rows {
		if _, waits := q.since[r.Ref]; waits || len(q.since) < maxWaiting {
			q.since[r.Ref] = since
		} else {
			over++
		}
	}
	return over
}

func (q *queue) any() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.since) > 0
}

// waitingSince returns how many have waited since then at the latest.
func (q *queue) waitingSince(then time.Time) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, since := range q.since {
		if !since.After(then) {
			n++
		}
	}
	return n
}

// byPartition returns all that wait, as rows that have nothing but their Ref.
func (q *queue) byPartition(parts int) map[int][]task.Row {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := map[int][]task.Row{}
	for ref := range q.since {
		p := task.Partition(ref.ID, parts)
		all[p] = append(all[p], task.Row{Ref: ref})
	}
	return all
}

// remove removes rows from the queue.
func (q *queue) remove(rows []task.Row) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range rows {
		delete(q.since, r.Ref)
	}
}

// expire removes the rows that have waited for too long, and returns how many there were.
func (q *queue) expire(rows []task.Row) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range rows {
		if since, waits := q.since[r.Ref]; waits && time.Since(since) > maxAge {
			delete(q.since, r.Ref)
			n++
		}
	}
	return n
}

// clear empties the queue, and returns how many were in it.
func (q *queue) clear() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.since)
	clear(q.since)
	return n
}
