package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// ListedSet is a hot set whose members can be listed.
type ListedSet interface {
	hotset.Set
	hotset.Lister
}

// Stores is a pair of stores whose agreement is examined, beside workers that go on. Nothing else uses Set.
//
// Workers change both stores all the time, and no read is of both at one moment. So a disagreement counts only if it is found twice, Grace
// apart, for the same version of a task in the same generation. Each look reads the store first in which a disagreement ends last:
//
//   - A row without a member: Find says that the member is absent, and then the row exists. RowFirst deletes the row before the member, so the
//     row existed when the member was absent.
//   - A member without a row: the row does not exist, and then Find says that the member waits. A version that is gone never comes back.
//   - A batch whose lease is over: Expired names it twice. A reaper that works gives it back within seconds.
type Stores struct {
	Store durable.Store // of the namespace
	Set   ListedSet     // the same, made for this examination alone
	Grace time.Duration // the workers' Options.AuditGrace: the pause between the two looks
}

// suspects of a partition are what disagreed in a look.
type suspects struct {
	generation int64
	cold       bool
	missing    []task.Ref // rows that the hot set has loaded, and does not hold
	ghosts     []task.Ref // members that wait, and have no row
	batches    []task.ExpiredBatch
}

func (s suspects) any() bool {
	return s.cold || len(s.missing)+len(s.ghosts)+len(s.batches) > 0
}

// Check compares both stores. With repair it mends what disagrees.
func (s Stores) Check(ctx context.Context, repair bool) []Finding {
	found, err := s.compare(ctx)
	if errors.Is(err, task.ErrMismatch) {
		return []Finding{failed("stores.identity", "Workers refuse this pair of stores.", "Name the Redis of this database, or give one of the two another namespace (docs/operations.md).", err)}
	}
	if err != nil {
		return []Finding{unread("stores", err)}
	}
	var mended tally
	if repair {
		for p, f := range found {
			mended.add(s.repair(ctx, p, f))
		}
	}
	return s.findings(ctx, found, mended, repair)
}

// compare looks twice, if the first look found anything.
func (s Stores) compare(ctx context.Context) ([]suspects, error) {
	if err := s.expect(ctx); err != nil {
		return nil, err
	}
	all, err := s.look(ctx)
	if err != nil || !slices.ContainsFunc(all, suspects.any) {
		return all, err
	}
	pause := time.NewTimer(s.Grace)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-pause.C:
	}
	if err := s.expect(ctx); err != nil {
		return nil, err
	}
	for p := range all {
		if all[p], err = s.confirm(ctx, p, all[p]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// expect tells the set which generations are current (OneGeneration), so that a partition of another one counts as cold.
func (s Stores) expect(ctx context.Context) error {
	r, err := s.Store.Records(ctx)
	if err != nil {
		return err
	}
	e := task.Expected{Identity: r.Identity()}
	if e.Pause, err = r.Pause(); err != nil {
		return err
	}
	for p := range s.Set.Config().Partitions {
		g, err := r.Generation(p)
		if err != nil {
			return err
		}
		e.Generations = append(e.Generations, g.Current.Generation)
	}
	return s.Set.Expect(e)
}

// look looks for disagreements in all partitions.
func (s Stores) look(ctx context.Context) ([]suspects, error) {
	all := make([]suspects, s.Set.Config().Partitions)
	loaded := make([]task.Cursor, len(all))
	for p := range all {
		st, err := s.Set.State(ctx, p)
		if err != nil {
			return nil, err
		}
		loaded[p], all[p].generation = st.Loaded, st.AsOf.Generation
		if st.AsOf.Generation == 0 {
			all[p].cold, err = s.overdue(ctx, st)
		} else {
			err = s.lookAtMembers(ctx, p, &all[p])
		}
		if err != nil {
			return nil, err
		}
	}
	return all, s.missing(ctx, loaded, all)
}

// lookAtMembers looks for members without rows, and for batches without a lease.
func (s Stores) lookAtMembers(ctx context.Context, p int, found *suspects) (err error) {
	if found.ghosts, err = s.ghosts(ctx, p); err != nil {
		return err
	}
	found.batches, err = s.expired(ctx, p)
	return err
}

// overdue reports whether a task has been due for Grace, by the clock of a cold partition.
func (s Stores) overdue(ctx context.Context, st task.State) (bool, error) {
	before := st.AsOf.TimeUS/1000 - s.Grace.Milliseconds()
	if before <= 0 {
		return false, nil
	}
	n, err := s.Store.CountBefore(ctx, 0, []int64{before}, 1)
	return err == nil && n[0].N > 0, err
}

// pageRows is how many rows or members are compared at once.
const pageRows = 1000

// missing finds the rows that partitions do not hold although the feeder has read past them: up to the cursor loaded. One scan serves all.
func (s Stores) missing(ctx context.Context, loaded []task.Cursor, found []suspects) error {
	top := slices.MaxFunc(loaded, func(a, b task.Cursor) int { return cmp.Compare(a.NextMS, b.NextMS) }).NextMS
	for at := (task.Cursor{}); ; {
		rows, err := s.Store.Scan(ctx, at, top+1, pageRows, 0)
		if err != nil {
			return err
		}
		byPart := make([][]task.Ref, len(found))
		for _, r := range rows {
			p := task.Partition(r.ID, len(found))
			if found[p].generation != 0 && !loaded[p].Less(r.Cursor()) {
				byPart[p] = append(byPart[p], r.Ref)
			}
		}
		for p, refs := range byPart {
			absent, err := s.where(ctx, p, refs, task.FindAbsent, task.FindOrphan)
			if err != nil {
				return err
			}
			found[p].missing = append(found[p].missing, absent...)
		}
		if len(rows) < pageRows {
			return nil
		}
		at = rows[len(rows)-1].Cursor()
	}
}

// where returns those of refs that the set holds in one of these ways.
func (s Stores) where(ctx context.Context, p int, refs []task.Ref, ways ...task.FindOutcome) (some []task.Ref, err error) {
	if len(refs) == 0 {
		return nil, nil
	}
	found, err := s.Set.Find(ctx, p, refs)
	if err != nil {
		return nil, err
	}
	for i, f := range found {
		for _, way := range ways {
			if f.Outcome == way {
				some = append(some, refs[i])
			}
		}
	}
	return some, nil
}

// ghosts returns the members that wait and have no row. A claimed one is its worker's: the keeper or the reaper ends it.
func (s Stores) ghosts(ctx context.Context, p int) (all []task.Ref, err error) {
	for page, err := range s.Set.Members(ctx, p) {
		if err != nil {
			return nil, err
		}
		_, gone, err := s.split(ctx, page)
		if err != nil {
			return nil, err
		}
		waiting, err := s.where(ctx, p, gone, task.FindWaiting)
		if err != nil {
			return nil, err
		}
		all = append(all, waiting...)
	}
	return all, nil
}

// split parts refs into those whose rows exist in that version, and the others.
func (s Stores) split(ctx context.Context, refs []task.Ref) (exist, gone []task.Ref, err error) {
	if len(refs) == 0 {
		return nil, nil, nil
	}
	seen, ids := map[string]bool{}, make([]string, 0, len(refs))
	for _, r := range refs { // of one task several versions may be members
		if !seen[r.ID] {
			seen[r.ID], ids = true, append(ids, r.ID)
		}
	}
	rows, err := s.Store.Versions(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	exists := make(map[task.Ref]bool, len(rows))
	for _, r := range rows {
		exists[r] = true
	}
	for _, r := range refs {
		if exists[r] {
			exist = append(exist, r)
		} else {
			gone = append(gone, r)
		}
	}
	return exist, gone, nil
}

// expired returns batches whose lease is over, by the longest lease of the namespace.
func (s Stores) expired(ctx context.Context, p int) ([]task.ExpiredBatch, error) {
	const most = 1000
	r, err := s.Store.Records(ctx)
	if err != nil {
		return nil, err
	}
	lease, err := r.Lease()
	if err != nil {
		return nil, err
	}
	return s.Set.Expired(ctx, p, most, time.Duration(lease.EffectiveMS)*time.Millisecond)
}

// confirm is the second look: it keeps those of first that still disagree, in the same generation.
func (s Stores) confirm(ctx context.Context, p int, first suspects) (found suspects, err error) {
	st, err := s.Set.State(ctx, p)
	if err != nil {
		return found, err
	}
	if found.generation = st.AsOf.Generation; found.generation != first.generation {
		return found, nil // all of first was of another one
	}
	if first.cold {
		found.cold, err = s.overdue(ctx, st)
		return found, err
	}
	for part := range chunks(first.missing) {
		absent, err := s.where(ctx, p, part, task.FindAbsent, task.FindOrphan)
		if err != nil {
			return found, err
		}
		exist, _, err := s.split(ctx, absent)
		if err != nil {
			return found, err
		}
		found.missing = append(found.missing, exist...)
	}
	for part := range chunks(first.ghosts) {
		_, gone, err := s.split(ctx, part)
		if err != nil {
			return found, err
		}
		waiting, err := s.where(ctx, p, gone, task.FindWaiting)
		if err != nil {
			return found, err
		}
		found.ghosts = append(found.ghosts, waiting...)
	}
	found.batches, err = s.stillExpired(ctx, p, first.batches)
	return found, err
}

// stillExpired returns those batches that are expired now too.
func (s Stores) stillExpired(ctx context.Context, p int, first []task.ExpiredBatch) (both []task.ExpiredBatch, err error) {
	if len(first) == 0 {
		return nil, nil
	}
	before := map[string]bool{}
	for _, b := range first {
		before[b.Token] = true
	}
	now, err := s.expired(ctx, p)
	for _, b := range now {
		if before[b.Token] {
			both = append(both, b)
		}
	}
	return both, err
}

// findings tells what was found, and what was mended of it.
func (s Stores) findings(ctx context.Context, found []suspects, mended tally, repair bool) []Finding {
	var n tally
	cold := 0
	for _, f := range found {
		n.add(tally{missing: len(f.missing), ghosts: len(f.ghosts), batches: len(f.batches)})
		if f.cold {
			cold++
		}
	}
	generation := Finding{Check: "stores.generation", Status: OK, Seen: fmt.Sprintf("%d partitions, none with overdue tasks and no generation", len(found))}
	if cold > 0 {
		generation.Status, generation.Seen = Warning, fmt.Sprintf("%d of %d partitions are cold, and tasks are overdue", cold, len(found))
		generation.Means, generation.Mend = "No worker runs, or none can take over this Redis: nothing is delivered.", "Start a worker, and read its log."
	}
	const mend = "Run: triggerhook doctor --repair"
	all := []Finding{generation,
		disagreement("stores.missing", Warning, "rows that the hot set has loaded and does not hold", "added", n.missing, mended.missing,
			"They are delivered late: once they are late by AuditGrace the auditor of a worker adds them.", mend),
		disagreement("stores.ghosts", Error, "members that wait and have no row", "removed", n.ghosts, mended.ghosts,
			"They fire though their tasks were confirmed, deleted or moved.", mend),
		disagreement("stores.batches", Warning, "batches whose lease is over", "given back", n.batches, mended.batches,
			"Their worker is gone, and no worker has the reaper's role: their tasks wait.", mend+"; or start a worker.")}
	if repair && mended.err != nil {
		all = append(all, failed("stores.repair", "What it had repaired by then stays repaired.", "Run it again.", mended.err))
	}
	return all
}

// disagreement is the finding of n things, of which some were mended.
func disagreement(check string, status Status, what, act string, n, mended int, means, mend string) Finding {
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("%d %s", n, what)}
	if n > 0 && mended > 0 {
		f.Seen += fmt.Sprintf(", %d %s", mended, act)
	}
	if n > mended {
		f.Status, f.Means, f.Mend = status, means, mend
	}
	return f
}
