package triggerhook

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/batch"
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
// A goroutine exists only while removals wait, and ends with the last of them, or when
// the Set's client is closed.
type guarded struct {
	hotset.Set
	groups   []*removals                                                 // by partition
	versions func(ctx context.Context, ids []string) ([]task.Ref, error) // of the durable store
	report   *report.Reporter

	mu        sync.Mutex
	waiting   []removal
	repeating bool // a goroutine tries what waits
}

type removal struct {
	p      int
	token  string
	refs   []task.Ref
	unsure time.Time // set: since then it is not known whether the rows are gone
}

// How long a statement whose answer was lost may take to have its effect, and for
// how long the store is asked about it.
const (
	unsureFor = 10 * time.Second
	askFor    = time.Minute
)

// removals gathers those of concurrent calls, whose refs differ: each has deleted
// their rows itself.
type removals = batch.Group[[]task.Ref, task.Removed]

// removeTimeout bounds a call that removes, whatever its callers wait for.
const removeTimeout = 5 * time.Second

func guard(set hotset.Set, versions func(context.Context, []string) ([]task.Ref, error), r *report.Reporter) *guarded {
	g := &guarded{Set: set, versions: versions, report: r}
	for p := range set.Config().Partitions {
		g.groups = append(g.groups, &removals{Parallel: hotFlights, MaxWeight: hotCall,
			Weigh: func(refs []task.Ref) int { return len(refs) },
			Flush: func(calls [][]task.Ref) []batch.Result[task.Removed] { return g.removeAll(p, calls) }})
	}
	return g
}

// Remove removes, and if that fails goes on trying after it has returned the error.
func (g *guarded) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.Removed, error) {
	if token == "" && len(refs) > 0 {
		select {
		case r := <-g.groups[p].Go(slices.Clone(refs)):
			return r.Value, r.Err
		case <-ctx.Done():
			return task.Removed{}, ctx.Err() // it goes on
		}
	}
	r, err := g.Set.Remove(ctx, p, token, refs)
	if err != nil {
		g.wait(removal{p: p, token: token, refs: slices.Clone(refs)})
	}
	return r, err
}

// removeAll removes what a group of calls named, and answers for each call.
func (g *guarded) removeAll(p int, calls [][]task.Ref) []batch.Result[task.Removed] {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	refs := slices.Concat(calls...)
	older := g.older(refs) // first, so that what was found of them is known of the others, however many calls it takes
	r, err := g.Set.Remove(ctx, p, "", slices.Concat(older, refs))
	if err != nil {
		g.wait(removal{p: p, refs: refs})
	}
	answers := r.Answers[min(len(older), len(r.Answers)):]
	res := make([]batch.Result[task.Removed], len(calls))
	for i, call := range calls {
		n := min(len(call), len(answers))
		res[i].Value, answers = task.Removed{AsOf: r.AsOf, Answers: answers[:n:n]}, answers[n:]
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

// doubt notes that refs may have lost their rows by a call whose outcome is unknown.
func (g *guarded) doubt(p int, refs []task.Ref) {
	g.wait(removal{p: p, refs: refs, unsure: time.Now()})
}

func (g *guarded) wait(r removal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, r)
	if !g.repeating {
		g.repeating = true
		go g.repeat()
	}
}

// repeat tries what waits, one after the other, until nothing is left.
func (g *guarded) repeat() {
	for {
		g.mu.Lock()
		n := len(g.waiting)
		if n == 0 {
			g.waiting, g.repeating = nil, false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		if g.repeatAll(n) > 0 {
			sleep(context.Background(), 200*time.Millisecond)
		}
	}
}

// repeatAll tries the first n that wait; what is left of one goes last. Where one fails
// the others of its partition are not tried this time. It returns of how many something
// is left.
func (g *guarded) repeatAll(n int) (some int) {
	failed := map[int]bool{}
	for range n {
		g.mu.Lock()
		r := g.waiting[0]
		g.mu.Unlock()
		if !failed[r.p] {
			var err error
			r.refs, err = g.again(r)
			failed[r.p] = err != nil && len(r.refs) > 0
		}
		g.mu.Lock()
		g.waiting = g.waiting[1:]
		if len(r.refs) > 0 {
			some++
			g.waiting = append(g.waiting, r)
		}
		g.mu.Unlock()
	}
	return some
}

// again tries a removal once more and returns what is left to do of it; err is the hot
// set's.
func (g *guarded) again(r removal) (left []task.Ref, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	gone := r.refs
	if !r.unsure.IsZero() {
		if gone, left, err = g.sift(ctx, r); err != nil || len(gone) == 0 {
			return left, nil
		}
	}
	_, err = g.Set.Remove(ctx, r.p, r.token, gone)
	if errors.Is(err, task.ErrClosed) {
		g.report.Error("remove from the hot set", err, "given up, for its client is closed", "tasks", len(r.refs))
		return nil, err
	}
	g.report.Error("remove from the hot set", err, "tried again until it lands")
	if err != nil {
		return r.refs, err
	}
	return left, nil
}

// sift parts what is unsure: whose rows are gone, and who is to be asked after again.
func (g *guarded) sift(ctx context.Context, r removal) (gone, left []task.Ref, err error) {
	ids := make([]string, len(r.refs))
	for i, ref := range r.refs {
		ids[i] = ref.ID
	}
	age := time.Since(r.unsure)
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
