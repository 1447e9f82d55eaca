package removal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/fence"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// unsureFor is how long after its call a DELETE whose answer was lost may still take effect.
	unsureFor = 10 * time.Second
	// askFor is how long the durable store is asked about a DELETE whose answer was lost, and how long
	// a removal is retried while its members are on a server that this process does not work with.
	askFor = time.Minute
)

// Enqueue queues the removal of versions whose rows are deleted.
func (r *Retrier) Enqueue(p int, refs []task.Ref) { r.enqueue(removal{p: p, refs: refs}) }

// EnqueueUnsure queues the removal of versions whose rows may be deleted, by a call whose
// outcome is unknown. The loop asks the durable store which of the rows still exist, and
// removes the members of the others.
func (r *Retrier) EnqueueUnsure(refs []task.Ref) {
	byPart := map[int][]task.Ref{}
	for _, ref := range refs {
		p := task.Partition(ref.ID, len(r.groups))
		byPart[p] = append(byPart[p], ref)
	}
	for p, refs := range byPart {
		r.enqueue(removal{p: p, refs: refs, unsure: true})
	}
}

func (r *Retrier) enqueue(w removal) {
	w.since = time.Now()
	r.mu.Lock()
	r.queue = append(r.queue, &w)
	r.mu.Unlock()
	r.loop.Start()
}

// Pending reports whether removals wait.
func (r *Retrier) Pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) > 0
}

// PendingSince returns how many members have waited for their removal since then at the latest.
func (r *Retrier) PendingSince(then time.Time) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.queue {
		if !w.since.After(then) {
			n += len(w.refs)
		}
	}
	return n
}

// Clear empties the queue, and returns how many members were in it.
func (r *Retrier) Clear() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.queue {
		n += len(w.refs)
	}
	r.queue = nil
	return n
}

// Hurry retries all waiting removals at once.
func (r *Retrier) Hurry() { r.loop.Hurry() }

// Cut ends the retries, and cancels the one that is under way. The queue stays.
func (r *Retrier) Cut() { r.loop.Cut() }

// Halt ends the retries, and returns once they have ended. The queue stays.
func (r *Retrier) Halt() { r.loop.Halt() }

// retryAll tries each removal that waits once. If one fails, the others of its partition are
// not tried in this round.
func (r *Retrier) retryAll(ctx context.Context) {
	r.mu.Lock()
	all := slices.Clone(r.queue)
	r.mu.Unlock()
	failed := map[int]bool{}
	for _, w := range all {
		if failed[w.p] {
			continue
		}
		left, err := r.retry(ctx, w)
		if errors.Is(err, task.ErrClosed) {
			r.o.Closed(err)
			return
		}
		if ctx.Err() != nil {
			return // the outcome of the call that was cancelled is not known
		}
		r.o.Failures.Note(err)
		failed[w.p] = err != nil && len(left) > 0
		r.keep(w, left)
	}
}

// keep keeps in the queue what is left of a removal.
func (r *Retrier) keep(w *removal, left []task.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.refs = left
	if len(left) == 0 {
		r.queue = slices.DeleteFunc(r.queue, func(other *removal) bool { return other == w })
	}
}

// retry tries a removal once more and returns what is left of it. The error is that of the
// hot set, or tells that a store is closed.
func (r *Retrier) retry(ctx context.Context, w *removal) (left []task.Ref, err error) {
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	gone := w.refs
	if w.unsure {
		gone, left, err = r.deleted(call, w)
		if ctx.Err() != nil || errors.Is(err, task.ErrClosed) {
			return left, err
		}
		if r.o.Failures.Note(err); err != nil {
			r.o.Report.Error("ask whether rows are gone", err, "asked again for a while", "tasks", len(left))
		}
		if err != nil || len(gone) == 0 {
			return left, nil
		}
	}
	_, err = r.set.Remove(call, w.p, w.token, gone)
	switch {
	case err == nil:
		return left, nil
	case ctx.Err() != nil || errors.Is(err, task.ErrClosed):
		return w.refs, err
	case errors.Is(err, fence.ErrElsewhere) && time.Since(w.since) > askFor:
		r.o.Report.Error("remove from the hot set", err, "given up: what was preloaded there may fire once", "tasks", len(w.refs))
		return left, nil
	}
	r.o.Report.Error("remove from the hot set", err, "retried until it succeeds")
	return w.refs, err
}

// deleted asks the durable store about a removal that is unsure. It returns the versions that have
// no row any more, and those about which the loop must ask again.
func (r *Retrier) deleted(ctx context.Context, w *removal) (gone, left []task.Ref, err error) {
	ids := make([]string, len(w.refs))
	for i, ref := range w.refs {
		ids[i] = ref.ID
	}
	age := time.Since(w.since)
	refs, err := r.o.Versions(ctx, ids)
	if err != nil {
		if age <= askFor {
			left = w.refs
		}
		return nil, left, err
	}
	exists := make(map[task.Ref]bool, len(refs))
	for _, ref := range refs {
		exists[ref] = true
	}
	for _, ref := range w.refs {
		switch {
		case !exists[ref]:
			gone = append(gone, ref)
		case age <= unsureFor:
			left = append(left, ref)
		}
	}
	return gone, left, nil
}
