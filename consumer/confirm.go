package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// confirmation is a caller's Confirm or ConfirmAsync on its way.
type confirmation struct {
	d    *Delivery
	done chan<- error // gets the outcome of a Confirm; nil: ConfirmAsync
}

// confirm has a delivery confirmed in a group.
func (s *settler) confirm(cf confirmation) {
	s.started()
	if cf.done == nil {
		s.asyncs.Post(cf)
		return
	}
	s.confirms.Post(cf)
}

// confirmGroup confirms a group of deliveries: one deletion of rows, then one removal of members in each
// partition. Once a row is deleted its outcome is nil, whatever the hot set answers.
func (s *settler) confirmGroup(group []confirmation) []coalesce.Result[struct{}] {
	ds, refs := make([]*Delivery, len(group)), make([]task.Ref, len(group))
	for i, cf := range group {
		ds[i], refs[i] = cf.d, cf.d.own
	}
	failpoint.Hit("confirm/row")

	// The commit point (RowFirst). A crash before it leaves the members in this worker's batches, and
	// the reaper gives them back once the leases have expired: they are delivered again. A crash after
	// it leaves members without rows in these batches. The reaper, which reads the rows first, removes
	// them, and none of them is delivered again.
	deleted, err := s.deleteRows(refs, s.c.confirmed(ds))
	if err == nil {
		failpoint.Hit("confirm/forget")
		s.removeMembers(ds, refs, deleted) // what fails is retried in the background
		failpoint.Hit("confirm/end")
	}
	outcomes := s.outcomes(refs, deleted, err)
	s.c.tellConfirmed(ds, outcomes)
	for i, cf := range group {
		if cf.done == nil {
			<-s.asyncWaiting
			s.report(cf.d, outcomes[i])
		}
	}
	s.complete(ds)
	for i, cf := range group {
		if cf.done != nil {
			cf.done <- outcomes[i]
		}
	}
	return make([]coalesce.Result[struct{}], len(group))
}

// outcomes returns what each Confirm of a group is told, and counts what the group has deleted.
func (s *settler) outcomes(refs []task.Ref, deleted []bool, err error) []error {
	all, n := make([]error, len(refs)), 0
	for i, r := range refs {
		switch {
		case err != nil:
			all[i] = fmt.Errorf("confirm %q: %w", r.ID, err)
		case !deleted[i]:
			all[i] = fmt.Errorf("confirm %q: %w", r.ID, task.ErrGone)
		default:
			n++
		}
	}
	s.c.figures.confirmed.Add(uint64(n))
	return all
}

// report reports the outcome of a ConfirmAsync, which nothing else learns.
func (s *settler) report(d *Delivery, err error) {
	if errors.Is(err, task.ErrGone) { // nothing failed, but what was done may have been done twice, or for a task that was deleted
		s.c.o.Report.Info("a confirm came too late: the task was confirmed by another worker, deleted or rescheduled before",
			"id", d.own.ID, "attempt", d.failedAttempts+1)
		return
	}
	s.c.o.Report.Error("confirm", err, "the task is delivered again")
}

// deleteRows deletes rows in the versions named, and reports of each whether it was deleted here. ends is what the history keeps
// of them, nil without history. A row that an earlier try may have deleted, and that is missing later, was deleted here, unless
// it was moved.
func (s *settler) deleteRows(refs []task.Ref, ends []task.Ending) (deleted []bool, err error) {
	unsure := map[task.Ref]bool{}
	err = s.persist("confirm", len(refs), func(ctx context.Context) (err error) {
		deleted, err = s.deleteOrEnd(ctx, refs, ends)
		if err == nil {
			err = s.countUnsure(refs, deleted, unsure)
		}
		maybe := task.Unsure(err)
		if errors.Is(err, context.DeadlineExceeded) { // the answer did not come, so any of them may be deleted
			maybe = refs
		}
		for _, r := range maybe {
			unsure[r] = true
		}
		return err
	})
	return deleted, err
}

// countUnsure counts those unsure rows as deleted that are missing now, because a try whose answer was lost may have
// deleted them. After an error the next try does that, also for what was deleted now.
func (s *settler) countUnsure(refs []task.Ref, deleted []bool, unsure map[task.Ref]bool) error {
	var ids []string
	for i, r := range refs {
		if !deleted[i] && unsure[r] {
			ids = append(ids, r.ID)
		}
	}
	found := map[string]task.Row{}
	if len(ids) > 0 {
		ctx, cancel := s.call(storeTimeout)
		defer cancel()
		rows, err := s.c.store.Get(ctx, ids)
		if err != nil {
			for i, r := range refs {
				unsure[r] = unsure[r] || deleted[i]
			}
			return err
		}
		for _, r := range rows {
			found[r.ID] = r
		}
	}
	for i, r := range refs {
		deleted[i] = deleted[i] || unsure[r] && !task.Moved(r, found[r.ID])
		delete(unsure, r) // if r is in the group twice, one of the two confirms has deleted it
	}
	return nil
}

// removeMembers takes members whose rows are gone out of the hot set. If a row was deleted
// elsewhere, its Delete may not have told the hot set yet. So its member is removed without a token
// first, which leaves a mark that a worker had it, and the Delete answers ErrClaimed (lease.pml). If
// that fails the member stays in its batch, and the mark is left later, by the retried removal or
// when the batch's lease has expired.
func (s *settler) removeMembers(ds []*Delivery, refs []task.Ref, deleted []bool) {
	byBatch, elsewhere := map[*batch][]task.Ref{}, map[*batch][]task.Ref{}
	for i, d := range ds {
		if byBatch[d.batch] = append(byBatch[d.batch], refs[i]); !deleted[i] {
			elsewhere[d.batch] = append(elsewhere[d.batch], refs[i])
		}
	}
	held := make([][]task.Held, s.c.o.Partitions)
	for b, refs := range byBatch {
		if gone := elsewhere[b]; len(gone) > 0 && !s.remove(b.p, gone) {
			refs = slices.DeleteFunc(refs, func(r task.Ref) bool { return slices.Contains(gone, r) })
		}
		if len(refs) > 0 {
			held[b.p] = append(held[b.p], task.Held{Token: b.token, Refs: refs})
		}
	}
	for p, of := range held {
		if len(of) > 0 {
			s.removeHeld(p, of)
		}
	}
}

// remove removes members that this process holds in no batch from one partition, and reports whether that is done.
func (s *settler) remove(p int, refs []task.Ref) bool {
	ctx, cancel := s.call(hotTimeout)
	defer cancel()
	_, err := s.c.set.Remove(ctx, p, "", refs)
	s.reportRemoval(err, len(refs))
	return err == nil
}

// removeHeld removes members of batches from one partition.
func (s *settler) removeHeld(p int, held []task.Held) {
	ctx, cancel := s.call(hotTimeout)
	defer cancel()
	n := 0
	for _, h := range held {
		n += len(h.Refs)
	}
	s.reportRemoval(s.c.set.RemoveHeld(ctx, p, held), n)
}

func (s *settler) reportRemoval(err error, n int) {
	if err != nil {
		s.c.o.Report.Error("remove confirmed tasks", err, "retried until it succeeds", "tasks", n)
	}
}
