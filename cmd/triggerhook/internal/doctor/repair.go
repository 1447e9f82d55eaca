package doctor

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/triggerhook/triggerhook/task"
)

// tally counts what disagreed, or what was mended.
type tally struct {
	missing, ghosts, batches int
	err                      error
}

func (t *tally) add(o tally) {
	t.missing, t.ghosts, t.batches, t.err = t.missing+o.missing, t.ghosts+o.ghosts, t.batches+o.batches, errors.Join(t.err, o.err)
}

func chunks[T any](all []T) iter.Seq[[]T] { return slices.Chunk(all, pageRows) }

// repair mends a partition with the calls that the background roles make, under the same rules. So it may run beside them, and beside
// another repair, and it drops no task that lives:
//
//   - A ghost is removed only if its row does not exist, by a read just before. A version that is gone never comes back, so no task has it; and
//     the tombstone refuses what others know of it from before (Tombstones). Ghosts go first: the ghost of a task that was moved is its
//     earlier version, as Reschedule removes it before it adds the new one.
//   - A missing row is added as of a moment from before it was read again (AsOfBeforeRead): if it is done meanwhile the tombstone of its removal
//     refuses the add, or the add is stale. A member that has come in meanwhile stays as it is.
//   - Members of a batch are given back only if their rows exist, by a read after the moment that is named, and only if the lease of
//     the batch is still over (ReapStanding).
func (s Stores) repair(ctx context.Context, p int, f suspects) (done tally) {
	for part := range chunks(f.ghosts) {
		n, err := s.removeGhosts(ctx, p, part)
		done.add(tally{ghosts: n, err: err})
	}
	for part := range chunks(f.missing) {
		n, err := s.addMissing(ctx, p, part)
		done.add(tally{missing: n, err: err})
	}
	for _, b := range f.batches {
		err := s.giveBack(ctx, p, b)
		if err == nil {
			done.batches++
		}
		done.add(tally{err: err})
	}
	return done
}

// removeGhosts removes members whose rows do not exist. Those whose rows exist after all are mended too.
func (s Stores) removeGhosts(ctx context.Context, p int, refs []task.Ref) (int, error) {
	_, gone, err := s.split(ctx, refs)
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	if _, err := s.Set.Remove(ctx, p, "", gone); err != nil {
		return 0, err
	}
	return len(refs), nil
}

// addMissing adds rows that still exist. Each entry is External: a worker reads payload, headers and expiry from the row when it claims the
// member, as it does where a payload is long.
func (s Stores) addMissing(ctx context.Context, p int, refs []task.Ref) (int, error) {
	asOf, err := s.Set.Clock(ctx, p) // before the rows are read (AsOfBeforeRead)
	if err != nil {
		return 0, err
	}
	ids, want := make([]string, len(refs)), make(map[task.Ref]bool, len(refs))
	for i, r := range refs {
		ids[i], want[r] = r.ID, true
	}
	rows, err := s.Store.Get(ctx, ids)
	if err != nil {
		return 0, err
	}
	var entries []task.Entry
	for _, r := range rows {
		if want[r.Ref] {
			entries = append(entries, task.Entry{Ref: r.Ref, NextMS: r.NextMS, DueMS: r.DueMS, Attempt: r.Attempt, External: true})
		}
	}
	if len(entries) > 0 {
		_, err = s.Set.Add(ctx, p, task.AddRequest{AsOf: asOf, Entries: entries})
	}
	if err != nil {
		return 0, err
	}
	return len(refs), nil // those that were not added are done, moved, or were added by a worker
}

// giveBack is what the reaper does with a batch whose lease is over.
func (s Stores) giveBack(ctx context.Context, p int, b task.ExpiredBatch) error {
	asOf, err := s.Set.Clock(ctx, p) // before the rows are read (AsOfBeforeRead)
	if err != nil {
		return err
	}
	exist, gone, err := s.split(ctx, b.Refs)
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		for _, token := range []string{"", b.Token} { // first without a token, which leaves a mark for Delete
			if _, err := s.Set.Remove(ctx, p, token, gone); err != nil {
				return err
			}
		}
		if len(exist) == 0 {
			return nil // the batch ended with its last member
		}
	}
	_, err = s.Set.Release(ctx, p, task.ReleaseRequest{Token: b.Token, Refs: exist, AtNext: true, Counted: true, Expired: true, AsOf: asOf})
	return err
}
