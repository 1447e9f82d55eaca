package triggerhook_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// gatedStore is the durable store as a process reaches it. Calls are noted under the names of SQL.
type gatedStore struct {
	durable.Store
	p *proc
}

func done[R any](R) string { return "done" }

// Records are those of a store that several processes share: it cannot tell which of them were
// recorded by a process that has ended.
func (g gatedStore) Records(ctx context.Context) (task.Records, error) {
	if err := g.p.enter(ctx, "RECORDS", ""); err != nil {
		return task.Records{}, err
	}
	r, err := g.Store.Records(ctx)
	r.Past = nil
	return r, err
}

func (g gatedStore) SwapRecord(ctx context.Context, name, old, to string) (bool, error) {
	return pass(ctx, g.p, "RECORD", "RECORD "+g.p.w.record(name, to), func(ctx context.Context) (bool, error) { return g.Store.SwapRecord(ctx, name, old, to) },
		func(swapped bool) string { return map[bool]string{true: "done", false: "another was faster"}[swapped] })
}

func (g gatedStore) Create(ctx context.Context, rows []task.Row) error {
	_, err := pass(ctx, g.p, "INSERT", "INSERT "+g.p.w.refs(rowRefs(rows)), func(ctx context.Context) (struct{}, error) { return struct{}{}, g.Store.Create(ctx, rows) }, done)
	return err
}

func (g gatedStore) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	return pass(ctx, g.p, "DELETE", "DELETE "+g.p.w.refs(refs), func(ctx context.Context) ([]bool, error) { return g.Store.Delete(ctx, refs) },
		func(deleted []bool) string {
			return each(g.p.w.names, refs, deleted, map[bool]string{true: "deleted", false: "not there"})
		})
}

func (g gatedStore) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	return pass(ctx, g.p, "DELETE", "DELETE "+list(ids), func(ctx context.Context) ([]task.Row, error) { return g.Store.DeleteByID(ctx, ids, aboveMS) },
		func(rows []task.Row) string { return g.p.w.refs(rowRefs(rows)) })
}

func (g gatedStore) Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	what := fmt.Sprintf("UPDATE %s to %s next %s", g.p.w.ref(ref), g.p.w.ref(to.Ref), g.p.w.at(to.NextMS))
	return pass(ctx, g.p, "UPDATE", what, func(ctx context.Context) (bool, error) { return g.Store.Move(ctx, ref, to) },
		func(moved bool) string { return map[bool]string{true: "done", false: "not there"}[moved] })
}

func (g gatedStore) RaiseAttempts(ctx context.Context, counts []task.Attempts) (int, error) {
	refs := make([]task.Ref, len(counts))
	for i, a := range counts {
		refs[i] = a.Ref
	}
	return pass(ctx, g.p, "UPDATE", "UPDATE attempts of "+g.p.w.refs(refs), func(ctx context.Context) (int, error) {
		return g.Store.RaiseAttempts(ctx, counts)
	}, func(raised int) string { return fmt.Sprintf("%d raised", raised) })
}

func (g gatedStore) Get(ctx context.Context, ids []string) ([]task.Row, error) {
	return pass(ctx, g.p, "SELECT", "SELECT "+list(ids), func(ctx context.Context) ([]task.Row, error) { return g.Store.Get(ctx, ids) },
		func(rows []task.Row) string { return g.p.w.refs(rowRefs(rows)) })
}

func (g gatedStore) Versions(ctx context.Context, ids []string) ([]task.Ref, error) {
	return pass(ctx, g.p, "SELECT", "SELECT "+list(ids), func(ctx context.Context) ([]task.Ref, error) { return g.Store.Versions(ctx, ids) }, g.p.w.refs)
}

func (g gatedStore) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	what := fmt.Sprintf("SELECT from %s to %s", g.p.w.cursor(after), g.p.w.at(belowMS))
	return pass(ctx, g.p, "SELECT", what, func(ctx context.Context) ([]task.Row, error) { return g.Store.Scan(ctx, after, belowMS, limit, inline) },
		func(rows []task.Row) string { return g.p.w.refs(rowRefs(rows)) })
}

func rowRefs(rows []task.Row) []task.Ref {
	refs := make([]task.Ref, len(rows))
	for i, r := range rows {
		refs[i] = r.Ref
	}
	return refs
}

// each is what was answered for each of refs: one word if it is the same for all, else one for each,
// in the order in which refs are printed.
func each[A comparable](n *names, refs []task.Ref, all []A, word map[A]string) string {
	byName := map[string]string{}
	for i, a := range all {
		byName[n.ref(refs[i])] = word[a]
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		words = append(words, byName[name])
	}
	if same := slices.Compact(slices.Clone(words)); len(same) == 1 {
		return same[0]
	}
	return strings.Join(words, " ")
}

// hotServer is a hot set on a server that all processes share and that can lose its data. What it
// holds is a local.Set, exchanged for an empty one when the data is lost.
type hotServer struct {
	*local.Set
	name  string
	told  task.Expected
	mu    sync.Mutex
	began int64 // when its generation did, ms
}

func (h *hotServer) now() *local.Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Set
}

// flush loses all data.
func (h *hotServer) flush() error {
	set, err := local.New(local.Options{})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Set = set
	if h.told.Identity == "" {
		return nil
	}
	return set.Expect(h.told)
}

func (h *hotServer) expect(e task.Expected) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = e
	return h.Set.Expect(e)
}

// status adds to what a set in memory says what a server says: its name, and that earlier claims
// may exist, so that overdue rows wait until workers have registered.
func (h *hotServer) status(s task.PartitionStatus) task.PartitionStatus {
	s.Server = h.name
	if s.StartMS == 0 {
		return s
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = s.StartMS
	s.ReadyMS = s.StartMS + task.RegisterWait.Milliseconds()
	return s
}

func (h *hotServer) state(s task.State) task.State {
	s.Server = h.name
	if s.StartMS = s.AsOf.TimeUS / 1000; s.AsOf.Generation != 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		s.StartMS = h.began
	}
	return s
}

// gatedSet is the hot set as a process reaches it. Calls are noted under the names of the scripts.
type gatedSet struct {
	hotset.Set
	p *proc
	h *hotServer
}

func (g gatedSet) Config() hotset.Config {
	c := g.h.now().Config()
	c.InProcess = false
	return c
}

func (g gatedSet) Expect(e task.Expected) error {
	if g.p.is(true) {
		return errDied
	}
	return g.h.expect(e)
}

// Clock prints only that it was asked, because that comes before the rows are read or written
// (AsOfBeforeRead).
func (g gatedSet) Clock(ctx context.Context, p int) (task.AsOf, error) {
	return pass(ctx, g.p, "clock", "clock", func(ctx context.Context) (task.AsOf, error) { return g.h.now().Clock(ctx, p) }, nil)
}

func (g gatedSet) Check(ctx context.Context, p int) error {
	if err := g.p.enter(ctx, "check", ""); err != nil {
		return err
	}
	return g.h.now().Check(ctx, p)
}

// State is printed where the script asks for it: a Delete, and the auditor.
func (g gatedSet) State(ctx context.Context, p int) (task.State, error) {
	state := func(ctx context.Context) (task.State, error) {
		s, err := g.h.now().State(ctx, p)
		return g.h.state(s), err
	}
	if ctx.Value(scripted{}) != nil {
		return pass(ctx, g.p, "state", "state", state, func(s task.State) string {
			if s.AsOf.Generation == 0 {
				return "cold"
			}
			said := "generation " + g.p.w.generation(s.AsOf.Generation) + " since " + g.p.w.at(s.StartMS)
			if s.OldestMS != 0 {
				said += ", the first waits for " + g.p.w.at(s.OldestMS)
			}
			return said
		})
	}
	if err := g.p.enter(ctx, "state", ""); err != nil {
		return task.State{}, err
	}
	return state(ctx)
}

func (g gatedSet) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	what := "horizon " + g.p.w.at(f.HorizonMS)
	if f.Generation != 0 {
		what += " in new generation " + g.p.w.generation(f.Generation)
	}
	return pass(ctx, g.p, "horizon", what, func(ctx context.Context) (task.PartitionStatus, error) {
		f.Server = ""
		s, err := g.h.now().Horizon(ctx, p, f)
		return g.h.status(s), err
	}, func(s task.PartitionStatus) string {
		if s.Retreated {
			return fmt.Sprintf("retreated to %s", g.p.w.at(s.HorizonMS))
		}
		return g.p.w.at(s.HorizonMS)
	})
}

func (g gatedSet) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	what := fmt.Sprintf("feed %s loaded %s%s", g.p.w.refs(entryRefs(page.Entries)), g.p.w.cursor(page.Loaded), g.p.w.since(page.AsOf))
	return pass(ctx, g.p, "feed", what, func(ctx context.Context) (task.PartitionStatus, error) {
		s, err := g.h.now().Feed(ctx, p, page)
		return g.h.status(s), err
	}, func(s task.PartitionStatus) string { return fmt.Sprintf("%d taken", s.Taken) })
}

func (g gatedSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	call, what := "add", "add "+g.p.w.refs(entryRefs(a.Entries))
	if a.Token != "" {
		call, what = "register", "register "+g.p.w.refs(entryRefs(a.Entries))+" in "+g.p.w.batch(a.Token)
	}
	return pass(ctx, g.p, call, what+g.p.w.since(a.AsOf), func(ctx context.Context) ([]task.AddOutcome, error) { return g.h.now().Add(ctx, p, a) },
		outcomes(g, entryRefs(a.Entries), added))
}

func (g gatedSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	what := "remove " + g.p.w.refs(refs)
	if token != "" {
		what += " from " + g.p.w.batch(token)
	}
	return pass(ctx, g.p, "remove", what, func(ctx context.Context) (task.RemoveResult, error) { return g.h.now().Remove(ctx, p, token, refs) },
		func(r task.RemoveResult) string {
			if r.AsOf.Generation == 0 {
				return "cold"
			}
			return outcomes(g, refs, removed)(r.Outcomes)
		})
}

// RemoveHeld is printed as a removal from each batch.
func (g gatedSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, g.Remove, p, held)
}

// Claim lets claims pass only while the script claims.
func (g gatedSet) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	g.p.mu.Lock()
	open := g.p.claims
	g.p.mu.Unlock()
	if !open {
		if err := g.p.enter(ctx, "claim", ""); err != nil {
			return task.Batch{}, err
		}
		a, err := g.h.now().Clock(ctx, p)
		return nothingDue(a), err
	}
	return pass(ctx, g.p, "claim", "claim", func(ctx context.Context) (task.Batch, error) {
		return g.h.now().Claim(ctx, p, req)
	},
		func(b task.Batch) string {
			if len(b.Claims) == 0 {
				return "nothing is due"
			}
			refs := make([]task.Ref, len(b.Claims))
			for i, c := range b.Claims {
				refs[i] = c.Ref
			}
			return g.p.w.refs(refs) + " in " + g.p.w.batch(b.Token) + ", lease " + length(req.Lease)
		})
}

func (g gatedSet) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	words := make([]string, len(h.Tokens))
	for i, t := range h.Tokens {
		words[i] = g.p.w.batch(t)
	}
	slices.Sort(words)
	return pass(ctx, g.p, "extend", "extend "+strings.Join(words, " "), func(ctx context.Context) (task.ExtendResult, error) { return g.h.now().Extend(ctx, p, h) },
		func(r task.ExtendResult) string {
			said := "done"
			if len(r.Lost) > 0 {
				said = "the lease was lost"
			}
			if len(r.Gone) > 0 {
				said += ", " + g.p.w.refs(r.Gone) + " gone"
			}
			return said
		})
}

func (g gatedSet) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	what := "release " + g.p.w.refs(r.Refs) + " from " + g.p.w.batch(r.Token)
	if r.Delay > 0 {
		what += " for " + length(r.Delay)
	}
	if r.Counted {
		what += ", counted"
	}
	return pass(ctx, g.p, "release", what, func(ctx context.Context) ([]task.ReleaseOutcome, error) { return g.h.now().Release(ctx, p, r) },
		outcomes(g, r.Refs, released))
}

func (g gatedSet) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return pass(ctx, g.p, "find", "find "+g.p.w.refs(refs), func(ctx context.Context) ([]task.FindResult, error) { return g.h.now().Find(ctx, p, refs) },
		func(found []task.FindResult) string {
			all := make([]task.FindOutcome, len(found))
			for i, f := range found {
				all[i] = f.Outcome
			}
			return outcomes(g, refs, foundAt)(all)
		})
}

// Expired puts what comes in no particular order into one.
func (g gatedSet) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return pass(ctx, g.p, "expired", "expired", func(ctx context.Context) ([]task.ExpiredBatch, error) {
		all, err := g.h.now().Expired(ctx, p, limit, lease)
		slices.SortFunc(all, func(a, b task.ExpiredBatch) int { return cmp.Compare(g.p.w.batch(a.Token), g.p.w.batch(b.Token)) })
		return all, err
	},
		func(all []task.ExpiredBatch) string {
			if len(all) == 0 {
				return "no batch"
			}
			words := make([]string, len(all))
			for i, b := range all {
				words[i] = g.p.w.batch(b.Token) + " with " + g.p.w.refs(b.Refs)
			}
			slices.Sort(words)
			return strings.Join(words, ", ")
		})
}

// scripted marks the context of what the script does.
type scripted struct{}

// Elect lets a process hold a role only while the script has it do a round of it.
func (g gatedSet) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if ctx.Value(scripted{}) == nil {
		if g.p.is(true) {
			return nil, g.p.freeze()
		}
		if g.p.isCut("elections") {
			return nil, fmt.Errorf("elect: %w", task.ErrUnavailable)
		}
		terms := make([]task.Term, len(roles))
		for i := range terms {
			terms[i].Left = time.Hour
		}
		return terms, nil
	}
	if err := g.p.enter(ctx, "elect", ""); err != nil {
		return nil, err
	}
	return g.h.now().Elect(ctx, holder, term, roles...)
}

// Heartbeat is no part of a script: nothing goes by it.
func (g gatedSet) Heartbeat(context.Context, string, []byte) error { return nil }

// Watch keeps the channel, for the script to wake the process that is to claim.
func (g gatedSet) Watch(ctx context.Context, w task.Watcher) error {
	g.p.mu.Lock()
	g.p.wake = w.Wake
	g.p.mu.Unlock()
	<-ctx.Done()
	return nil
}

func entryRefs(entries []task.Entry) []task.Ref {
	refs := make([]task.Ref, len(entries))
	for i, e := range entries {
		refs[i] = e.Ref
	}
	return refs
}

// The words for the outcomes of each verb.
var (
	added = map[task.AddOutcome]string{task.AddTaken: "waiting", task.AddPresent: "present", task.AddBeyond: "beyond the horizon",
		task.AddDead: "dead", task.AddClaimed: "claimed", task.AddElsewhere: "elsewhere"}
	removed  = map[task.RemoveOutcome]string{task.RemoveAbsent: "absent", task.RemoveWaiting: "waiting", task.RemoveClaimed: "claimed"}
	released = map[task.ReleaseOutcome]string{task.ReleaseWaiting: "waiting", task.ReleaseLeased: "claimed", task.ReleaseElsewhere: "elsewhere",
		task.ReleaseBeyond: "beyond the horizon", task.ReleaseDead: "dead", task.ReleaseAbsent: "absent"}
	foundAt = map[task.FindOutcome]string{task.FindAbsent: "absent", task.FindWaiting: "waiting", task.FindClaimed: "claimed", task.FindOrphan: "orphan"}
)

// outcomes prints what the hot set said of each of refs.
func outcomes[T comparable](g gatedSet, refs []task.Ref, words map[T]string) func([]T) string {
	return func(all []T) string { return each(g.p.w.names, refs, all, words) }
}

// list is IDs in the order of their names: most calls name them in no particular order.
func list(ids []string) string { return strings.Join(slices.Sorted(slices.Values(ids)), " ") }
