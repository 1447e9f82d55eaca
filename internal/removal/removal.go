// Package removal retries each removal from the hot set until it succeeds. It gives up after a minute in two
// cases: another server has the current generation all that time, or the durable store does not say whether the
// rows are gone.
package removal

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/retry"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// timeout bounds a call that removes, however long its callers wait.
	timeout = 5 * time.Second
	// backoff is how long after a failed removal it is tried again.
	backoff = 200 * time.Millisecond
	// maxCalls is how many calls that share removals a partition has under way: a second one
	// arrives while the answer to the first is on its way back.
	maxCalls = 2
	// maxMembers is the most members that one call removes.
	maxMembers = 1000
)

// Retrier is a hotset.Set that retries each failed removal until it succeeds (Tombstones):
// the row is already deleted, and a member left behind would still fire. It does no harm to
// repeat a removal after the server lost its data.
//
// A version whose removal waits here may be an older version of a task that exists. A
// removal of the newer version also removes the older ones that wait, so that no Delete returns nil
// while its task can still fire in an older version.
//
// Removals of concurrent calls that name no batch share calls to the Set. They go on when
// their caller's context ends.
//
// If the client of the Set or the durable store is closed, all waiting removals are given up.
type Retrier struct {
	set    hotset.Set
	o      Options
	groups []*group // by partition
	loop   retry.Loop

	mu    sync.Mutex
	queue []*removal
}

// Options of Wrap. All of them are set.
type Options struct {
	// Versions returns the versions that the rows of those ids have in the durable store.
	Versions func(ctx context.Context, ids []string) ([]task.Ref, error)
	// Closed gives up all that waits. It is called when a store or its client is closed.
	Closed   func(error)
	Calls    *retry.InFlight  // notes shared calls
	Failures *retry.Failures  // notes why a retry failed
	Report   *report.Reporter // gets what no caller can be told
}

// removal is a removal that waits to be tried again.
type removal struct {
	p      int
	token  string
	refs   []task.Ref // under Retrier.mu; only the goroutine of the loop changes it
	since  time.Time
	unsure bool // it is not known whether the rows are deleted: the durable store is asked first
}

// group lets the removals of concurrent calls share calls to the Set. Their refs differ,
// because each call has deleted the rows of its refs itself.
type group = coalesce.Group[shared, task.RemoveResult]

// shared is a removal that shares a call.
type shared struct {
	refs []task.Ref
	end  func() // notes that it is over
}

// Wrap returns a Retrier around set. It starts nothing.
func Wrap(set hotset.Set, o Options) *Retrier {
	r := &Retrier{set: set, o: o}
	r.loop = retry.Loop{Pause: backoff, Round: r.retryAll, Waiting: r.Pending}
	for p := range set.Config().Partitions {
		r.groups = append(r.groups, &group{Parallel: maxCalls, MaxWeight: maxMembers,
			Weigh: func(c shared) int { return len(c.refs) },
			Flush: func(calls []shared) []coalesce.Result[task.RemoveResult] { return r.removeAll(p, calls) }})
	}
	return r
}

// Remove implements hotset.Set. If the removal fails it returns the error, and the removal is
// retried in the background.
func (r *Retrier) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if token == "" && len(refs) > 0 {
		select {
		case answer := <-r.groups[p].Go(shared{slices.Clone(refs), r.o.Calls.Begin(1)}):
			return answer.Value, answer.Err
		case <-ctx.Done():
			return task.RemoveResult{}, ctx.Err() // the removal goes on
		}
	}
	res, err := r.set.Remove(ctx, p, token, refs)
	if err != nil {
		r.enqueue(removal{p: p, token: token, refs: slices.Clone(refs)})
	}
	return res, err
}

// RemoveHeld implements hotset.Set. If it fails each removal is retried in the background.
func (r *Retrier) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	err := r.set.RemoveHeld(ctx, p, held)
	if err != nil {
		for _, h := range held {
			r.enqueue(removal{p: p, token: h.Token, refs: slices.Clone(h.Refs)})
		}
	}
	return err
}

// removeAll removes what a group of calls named, and answers for each call.
func (r *Retrier) removeAll(p int, calls []shared) []coalesce.Result[task.RemoveResult] {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var refs []task.Ref
	for _, c := range calls {
		refs = append(refs, c.refs...)
	}
	defer func() {
		for _, c := range calls {
			c.end()
		}
	}()
	older := r.OlderVersions(refs) // they are removed first: their marks must exist when the others are removed (remove.lua), also by a later call
	res, err := r.set.Remove(ctx, p, "", slices.Concat(older, refs))
	if err != nil {
		r.Enqueue(p, refs)
	}
	outcomes := res.Outcomes[min(len(older), len(res.Outcomes)):]
	all := make([]coalesce.Result[task.RemoveResult], len(calls))
	for i, call := range calls {
		n := min(len(call.refs), len(outcomes))
		all[i].Value, outcomes = task.RemoveResult{AsOf: res.AsOf, Outcomes: outcomes[:n:n]}, outcomes[n:]
		all[i].Err = err
	}
	return all
}

// OlderVersions returns the other versions of the same tasks that wait to be removed. A
// removal that names a batch concerns one version, and does not need them.
func (r *Retrier) OlderVersions(refs []task.Ref) (all []task.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return nil
	}
	ids := make(map[string]int64, len(refs))
	for _, ref := range refs {
		ids[ref.ID] = ref.Ver
	}
	for _, w := range r.queue {
		for _, ref := range w.refs {
			if ver, is := ids[ref.ID]; is && ver != ref.Ver && !slices.Contains(all, ref) {
				all = append(all, ref)
			}
		}
	}
	return all
}
