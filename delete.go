package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// Delete deletes tasks by their IDs. Nil: none of them will be delivered.
//
// Errors: an IDError names the IDs that were not found (ErrNotFound), and those that a worker
// had claimed before, or may have claimed (ErrClaimed). The rows of the latter are deleted, but
// the one delivery that was under way may still happen. All other tasks of the call are
// deleted. ErrInvalid: an ID breaks a rule, and nothing is deleted. ErrTooLarge: a call takes at
// most 100,000 IDs, and nothing is deleted. After any other error, also the end of ctx, some or
// all of the rows may be deleted; this process goes on trying to remove their tasks from the hot set.
//
// Many IDs are deleted in their order, 1000 at a time. Each 1000 are complete before the next
// 1000. Tasks that were deleted before an error stay deleted: a repeated call names their IDs
// as not found, and goes on from there. Once ctx has ended, Delete begins no further 1000.
//
// For one Lease after Redis lost its data, or was exchanged, the claims from before are not
// known. Delete then answers ErrClaimed for each task that was due, or almost, when the hot set's new
// generation began, or whose row had been moved (by a Reschedule, or by a Rollback with a long
// delay). The same holds for one Lease after the first start of a namespace.
// That Lease is the longest that is recorded, or 10 minutes if the records cannot be read. The
// clocks of the Redis servers must agree within a second.
//
// A worker may claim a task up to its Options.ClaimAhead before it is due, and Delete answers ErrClaimed from then on. If a
// deletion takes nine seconds or longer, it also answers ErrClaimed for each task that is due by its end, or almost, or whose row was
// moved, because a worker may have claimed and confirmed the task meanwhile. Many tasks that are due far ahead are deleted
// unread: Delete answers ErrClaimed for them if that takes ten minutes, or if the recorded window
// cannot be read, because a feeder may have preloaded them.
func (s *Scheduler) Delete(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if err := task.CheckID(id); err != nil {
			return fmt.Errorf("delete: %w", errors.Join(err, &IDError{Invalid: []string{id}}))
		}
	}
	if len(ids) > mostTasks {
		return fmt.Errorf("delete: %w: %d tasks in one call, at most %d are taken", ErrTooLarge, len(ids), mostTasks)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	ctx, release := unlessGone(ctx)
	defer release()
	if len(ids) > 1 {
		ids = slices.Clone(ids)
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	done, end := make(chan error, 1), s.calls.Begin(1)
	go func() {
		defer end()
		done <- (&deletion{s: s, failed: map[int]error{}}).run(ctx, ids)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("delete: %w", ctx.Err())
	}
}

// deletion is one call of Delete. One goroutine owns it.
type deletion struct {
	s      *Scheduler
	out    IDError
	failed map[int]error // by partition: why members of deleted rows could not be removed yet
}

// run deletes part by part. It always completes a part that it has begun, even if the caller does
// not wait: otherwise rows might be deleted whose versions this process does not know.
func (d *deletion) run(ctx context.Context, ids []string) error {
	whole := context.WithoutCancel(ctx)
	for done := 0; done < len(ids); {
		part := ids[done:min(done+deleteRows, len(ids))]
		err := ctx.Err()
		if done == 0 || err == nil {
			err = d.part(whole, part)
		}
		if err != nil && len(ids) > deleteRows {
			err = fmt.Errorf("the first %d of %d tasks are deleted: %w", done, len(ids), err)
		}
		if err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		done += len(part)
	}
	if len(d.failed) > 0 {
		return fmt.Errorf("delete: rows are deleted, the hot set has not been told yet: %w", errors.Join(slices.Collect(maps.Values(d.failed))...))
	}
	failpoint.Hit("delete/end")
	if len(d.out.NotFound)+len(d.out.Claimed) > 0 {
		return &d.out
	}
	return nil
}

// part deletes rows, and then everything that the hot set may hold of them. The hot set holds
// nothing of far tasks (FarUntold), and the store need not even read these. The error is that of
// the durable store.
func (d *deletion) part(ctx context.Context, ids []string) error {
	line, began := d.s.drawLine(ctx, ids), time.Now()
	failpoint.Hit("delete/row")

	// The commit point (RowFirst). A crash before it leaves the tasks as they were. A crash after
	// it leaves members without rows. Such a member may fire once, because Delete has not
	// returned nil; its Confirm, or the reaper after its lease, removes it.
	rows, err := d.s.deleteByID(ctx, ids, line)
	if err != nil { // the outcome is unknown: the retries find out
		d.s.removals.EnqueueUnsure(task.Unsure(err))
		return err
	}
	d.s.counts.deleted.Add(uint64(len(rows)))
	if len(rows) < len(ids) {
		d.out.NotFound = append(d.out.NotFound, missing(ids, rows)...)
	}
	byPart, unread := d.s.splitDeleted(rows)
	d.out.Claimed = append(d.out.Claimed, d.s.nearAfterAll(ctx, line, unread)...)
	for p, rows := range byPart { // all partitions, even if one fails: only a removal that was tried is queued for a retry
		d.removeNear(ctx, p, rows, began)
	}
	return nil
}

// splitDeleted splits rows by their partitions, without those that were deleted unread.
func (s *Scheduler) splitDeleted(rows []task.Row) (byPart map[int][]task.Row, unread []task.Ref) {
	byPart = map[int][]task.Row{}
	for _, r := range rows {
		if r.Ver == 0 {
			unread = append(unread, r.Ref)
			continue
		}
		p := task.Partition(r.ID, s.parts)
		byPart[p] = append(byPart[p], r)
	}
	return byPart, unread
}

// removeNear removes from the hot set what it may hold of rows that were deleted since began: those that are not far. Once a
// partition has failed in this call, removeNear does not wait for it again, and queues its further removals.
func (d *deletion) removeNear(ctx context.Context, p int, rows []task.Row, began time.Time) {
	if d.failed[p] != nil {
		d.s.removals.Enqueue(p, task.Versions(rows))
		return
	}
	if rows = d.s.nearByHotSet(ctx, p, rows); len(rows) == 0 {
		return
	}
	failpoint.Hit("delete/remove")
	claimed, err := d.s.removeMembers(ctx, p, rows, began)
	if err != nil {
		d.failed[p] = err
	}
	d.out.Claimed = append(d.out.Claimed, claimed...)
}

// missing returns the ids that rows does not have.
func missing(ids []string, rows []task.Row) (none []string) {
	have := make(map[string]bool, len(rows))
	for _, r := range rows {
		have[r.ID] = true
	}
	for _, id := range ids {
		if !have[id] {
			none = append(none, id)
		}
	}
	return none
}

const (
	// deleteRows is how many rows one part of a deletion has.
	deleteRows = 1000
	// stateTimeout bounds the question how old a generation is.
	stateTimeout = 5 * time.Second
	// markTTL is for how long at least the hot set keeps its mark that a worker had claimed a member when that was
	// removed (remove.lua). It is a second less than the least life of a tombstone.
	markTTL = task.TombstoneTTL - time.Second
	// clocksAgree is by how many milliseconds the clocks of two Redis servers may differ.
	clocksAgree = 1000
	// claimable bounds, in milliseconds, how far ahead a worker may have claimed: what was claimed before a moment is due no later
	// than claimable after that moment (ClaimAhead), whichever server's clock tells the moment.
	claimable = clocksAgree + int64(task.MaxAhead/time.Millisecond)
)

// removeMembers removes the members of rows that were deleted since began, and returns the
// IDs of those that a worker may have in hand.
func (s *Scheduler) removeMembers(ctx context.Context, p int, rows []task.Row, began time.Time) (claimed []string, err error) {
	refs := task.Versions(rows)
	removed, err := s.set.Remove(ctx, p, "", refs)
	if err != nil {
		return nil, err
	}
	outcomes := removed.Outcomes[len(refs)-len(rows):]
	var unknown []task.Row // may have been claimed before the hot set lost its data
	for i, r := range rows {
		switch {
		case outcomes[i] == task.RemoveClaimed:
			claimed = append(claimed, r.ID)
		case r.PrevVer != 0 || r.NextMS <= removed.AsOf.TimeUS/1000+claimable:
			unknown = append(unknown, r)
		}
	}
	if len(unknown) == 0 {
		return claimed, nil
	}
	if wait.Elapsed(began) > markTTL { // a worker may have claimed and confirmed the task since, and its mark may be gone
		for _, r := range unknown {
			claimed = append(claimed, r.ID)
		}
		return claimed, nil
	}
	young, err := s.claimedBeforeLoss(ctx, p, unknown, began)
	return append(claimed, young...), err
}

// claimedBeforeLoss returns the IDs of those of rows that a worker may have claimed before the
// generation of p began, and may still hold. A new generation begins only after a loss of data, so usually
// the generation is old, and the function returns none.
func (s *Scheduler) claimedBeforeLoss(ctx context.Context, p int, rows []task.Row, began time.Time) (claimed []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	st, err := s.set.State(ctx, p)
	if err != nil {
		return nil, err
	}
	if st.AsOf.TimeUS/1000 > st.StartMS+(s.records.LongestLease()+wait.Elapsed(began)).Milliseconds() {
		return nil, nil // each lease from before this generation had ended when the rows were deleted
	}
	for _, r := range rows {
		if r.PrevVer != 0 || r.NextMS <= st.StartMS+claimable {
			claimed = append(claimed, r.ID)
		}
	}
	return claimed, nil
}
