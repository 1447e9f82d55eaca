package triggerhook

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// guarded is a Set whose removals are tried again until they land (rule 2): the
// row is gone by then, and a member left behind would fire without one. A removal
// that is repeated after the server lost its data does no harm.
//
// What waits here is an older version of a task that may have another by now. Who
// removes that one removes the older ones with it, so that a Delete does not
// return nil while its task can still fire in a version of before.
//
// Removals of concurrent calls that hold no batch share calls to the Set.
//
// What waits is given up when the Set's client or the durable store is closed.
type guarded struct {
	hotset.Set
	groups   []*removals                                                 // by partition
	versions func(ctx context.Context, ids []string) ([]task.Ref, error) // of the durable store
	report   *report.Reporter
	trouble  *trouble
	closed   func(error) // gives up what waits
	retry    retrier
	calls    calls // of removals, and what goes on after its caller has left

	mu      sync.Mutex
	waiting []*removal
}

type removal struct {
	p      int
	token  string
	refs   []task.Ref // under mu; the goroutine alone changes it
	since  time.Time
	unsure bool // since then it is not known whether the rows are gone
}

// calls notes when calls began that are under way.
type calls struct {
	mu   sync.Mutex
	next int
	at   map[int]time.Time
}

// begin notes a call, and returns what notes its end.
func (c *calls) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[int]time.Time{}
	}
	n := c.next
	c.next++
	c.at[n] = time.Now()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.at, n)
	}
}

// begun returns how many of them had begun by then.
func (c *calls) begun(then time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.at {
		if !at.After(then) {
			n++
		}
	}
	return n
}

// How long a statement whose answer was lost may take to have its effect, and for
// how long the store is asked about it.
const (
	unsureFor = 10 * time.Second
	askFor    = time.Minute
)

// removals gathers those of concurrent calls, whose refs differ: each has deleted
// their rows itself.
type removals = coalesce.Group[shared, task.RemoveResult]

// shared is a removal that shares a call; end notes that this is over.
type shared struct {
	refs []task.Ref
	end  func()
}

// removeTimeout bounds a call that removes, whatever its callers wait for.
const removeTimeout = 5 * time.Second

// pauseRemoval is how long after a failed removal it is tried again.
const pauseRemoval = 200 * time.Millisecond

func guard(set hotset.Set, versions func(context.Context, []string) ([]task.Ref, error), r *report.Reporter, t *trouble) *guarded {
	g := &guarded{Set: set, versions: versions, report: r, trouble: t}
	g.retry = retrier{pause: pauseRemoval, round: g.repeat, waiting: g.owes}
	for p := range set.Config().Partitions {
		g.groups = append(g.groups, &removals{Parallel: hotFlights, MaxWeight: hotCall,
			Weigh: func(c shared) int { return len(c.refs) },
			Flush: func(calls []shared) []coalesce.Result[task.RemoveResult] { return g.removeAll(p, calls) }})
	}
	return g
}

// Remove removes, and if that fails goes on trying after it has returned the error.
func (g *guarded) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if token == "" && len(refs) > 0 {
		select {
		case r := <-g.share(p, refs):
			return r.Value, r.Err
		case <-ctx.Done():
			return task.RemoveResult{}, ctx.Err() // it goes on
		}
	}
	r, err := g.Set.Remove(ctx, p, token, refs)
	if err != nil {
		g.wait(removal{p: p, token: token, refs: slices.Clone(refs)})
	}
	return r, err
}

// share has a removal share its call to the Set with others.
func (g *guarded) share(p int, refs []task.Ref) <-chan coalesce.Result[task.RemoveResult] {
	return g.groups[p].Go(shared{slices.Clone(refs), g.calls.begin()})
}

// removeAll removes what a group of calls named, and answers for each call.
func (g *guarded) removeAll(p int, calls []shared) []coalesce.Result[task.RemoveResult] {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
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
	older := g.older(refs) // first, so that what was found of them is known of the others, however many calls it takes
	r, err := g.Set.Remove(ctx, p, "", slices.Concat(older, refs))
	if err != nil {
		g.wait(removal{p: p, refs: refs})
	}
	answers := r.Answers[min(len(older), len(r.Answers)):]
	res := make([]coalesce.Result[task.RemoveResult], len(calls))
	for i, call := range calls {
		n := min(len(call.refs), len(answers))
		res[i].Value, answers = task.RemoveResult{AsOf: r.AsOf, Answers: answers[:n:n]}, answers[n:]
		res[i].Err = err
	}
	return res
}

// older returns what waits to be removed of the same tasks. Who names a batch holds
// one version and says nothing of others: that is not asked then.
func (g *guarded) older(refs []task.Ref) (all []task.Ref) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return nil
	}
	ids := make(map[string]int64, len(refs))
	for _, r := range refs {
		ids[r.ID] = r.Ver
	}
	for _, w := range g.waiting {
		for _, r := range w.refs {
			if ver, is := ids[r.ID]; is && ver != r.Ver && !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

// owes reports whether removals wait.
func (g *guarded) owes() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) > 0
}

// count returns how many removals have waited since then at the latest.
func (g *guarded) count(then time.Time) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.waiting {
		if !r.since.After(then) {
			n += len(r.refs)
		}
	}
	return n
}

// clear forgets all removals that wait, and returns how many there were.
func (g *guarded) clear() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.waiting {
		n += len(r.refs)
	}
	g.waiting = nil
	return n
}

// doubt notes that refs may have lost their rows by a call whose outcome is unknown.
func (g *guarded) doubt(p int, refs []task.Ref) {
	g.wait(removal{p: p, refs: refs, unsure: true})
}

func (g *guarded) wait(r removal) {
	r.since = time.Now()
	g.mu.Lock()
	g.waiting = append(g.waiting, &r)
	g.mu.Unlock()
	g.retry.start()
}

// repeat tries all that wait once. Where one fails the others of its partition are not
// tried this time.
func (g *guarded) repeat(ctx context.Context) {
	g.mu.Lock()
	all := slices.Clone(g.waiting)
	g.mu.Unlock()
	failed := map[int]bool{}
	for _, r := range all {
		if failed[r.p] {
			continue
		}
		left, err := g.again(ctx, r)
		if errors.Is(err, task.ErrClosed) {
			g.closed(err)
			return
		}
		if ctx.Err() != nil {
			return // what it says of the removal is not known
		}
		g.trouble.note(err)
		failed[r.p] = err != nil && len(left) > 0
		g.leave(r, left)
	}
}

// leave notes what is left to do of a removal.
func (g *guarded) leave(r *removal, left []task.Ref) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.refs = left
	if len(left) == 0 {
		g.waiting = slices.DeleteFunc(g.waiting, func(w *removal) bool { return w == r })
	}
}

// again tries a removal once more and returns what is left to do of it; err is the hot
// set's, or tells that a store is closed.
func (g *guarded) again(ctx context.Context, r *removal) (left []task.Ref, err error) {
	call, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	gone := r.refs
	if r.unsure {
		gone, left, err = g.sift(call, r)
		if ctx.Err() != nil || errors.Is(err, task.ErrClosed) {
			return left, err
		}
		if g.trouble.note(err); err != nil || len(gone) == 0 {
			g.report.Error("ask whether rows are gone", err, "asked again for a while", "tasks", len(left))
			return left, nil
		}
	}
	_, err = g.Set.Remove(call, r.p, r.token, gone)
	if ctx.Err() != nil || errors.Is(err, task.ErrClosed) {
		return r.refs, err
	}
	if errors.Is(err, errElsewhere) && time.Since(r.since) > askFor {
		g.report.Error("remove from the hot set", err, "given up: what was preloaded there may fire once", "tasks", len(r.refs))
		return left, nil
	}
	g.report.Error("remove from the hot set", err, "tried again until it lands")
	if err != nil {
		return r.refs, err
	}
	return left, nil
}

// sift parts what is unsure: whose rows are gone, and which are to be asked after again.
func (g *guarded) sift(ctx context.Context, r *removal) (gone, left []task.Ref, err error) {
	ids := make([]string, len(r.refs))
	for i, ref := range r.refs {
		ids[i] = ref.ID
	}
	age := time.Since(r.since)
	refs, err := g.versions(ctx, ids)
	if err != nil {
		if age <= askFor {
			left = r.refs
		}
		return nil, left, err
	}
	stand := make(map[task.Ref]bool, len(refs))
	for _, ref := range refs {
		stand[ref] = true
	}
	for _, ref := range r.refs {
		switch {
		case !stand[ref]:
			gone = append(gone, ref)
		case age <= unsureFor:
			left = append(left, ref)
		}
	}
	return gone, left, nil
}
