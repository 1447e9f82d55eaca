package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// Delete deletes tasks by their IDs. Nil: none of them will be delivered. An
// IDError names those that were not found (ErrNotFound), and those that a worker
// had claimed before, or may have (ErrClaimed): their rows are deleted, but the one
// delivery that was under way may still happen. The others are deleted. ErrInvalid: an ID
// breaks a rule, and nothing is deleted. After any other error, the end of ctx too, some or all of the rows may be deleted, with the
// hot set still to be told, which this process goes on trying.
//
// For one Lease after Redis has lost its data, or been exchanged, nobody can tell what
// had been claimed before: Delete then names as claimed whatever was due by then, or
// had been rescheduled. All processes must have the same Lease for that, and the
// clocks of the Redis servers must agree within a second. It names so, too, tasks due far
// ahead whose deletion took ten minutes: they may have been preloaded meanwhile.
func (s *Scheduler) Delete(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if err := task.CheckID(id); err != nil {
			return fmt.Errorf("delete: %w", errors.Join(err, &IDError{Invalid: []string{id}}))
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if len(ids) > 1 {
		ids = slices.Clone(ids)
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	// What was begun is brought to its end, however long its caller waits: else rows
	// might be deleted of whose versions nobody knows any more.
	done := make(chan error, 1)
	go func() { done <- s.dropRows(context.WithoutCancel(ctx), ids) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("delete: %w", ctx.Err())
	}
}

// dropRows deletes rows, and then all that the hot set may hold of them (rule 1): of
// tasks that are far that is nothing (rule 6), and the store need not even read them.
func (s *Scheduler) dropRows(ctx context.Context, ids []string) error {
	out := &IDError{}
	line := s.drawLine(ctx, ids)
	failpoint.Hit("delete/row")
	rows, err := s.store.Drop(ctx, ids, line.aboveMS)
	if err != nil {
		s.doubt(task.Unsure(err))
		return fmt.Errorf("delete: %w", err)
	}
	s.counts.deleted.Add(uint64(len(rows)))
	if len(rows) < len(ids) {
		out.NotFound = missing(ids, rows)
	}
	byPart := map[int][]task.Row{}
	var unread []task.Ref
	for _, r := range rows {
		if r.Ver == 0 {
			unread = append(unread, r.Ref)
			continue
		}
		p := task.Partition(r.ID, s.parts)
		byPart[p] = append(byPart[p], r)
	}
	out.Claimed = s.nearBy(ctx, line, unread)
	for p, rows := range byPart { // all of them: a removal that fails is tried again only once it was tried
		if rows = s.nearNow(ctx, p, rows); len(rows) == 0 {
			continue
		}
		failpoint.Hit("delete/remove")
		claimed, e := s.removeMembers(ctx, p, rows)
		err = errors.Join(err, e)
		out.Claimed = append(out.Claimed, claimed...)
	}
	if err != nil {
		return fmt.Errorf("delete: rows are deleted, the hot set is still to be told: %w", err)
	}
	failpoint.Hit("delete/end")
	if len(out.NotFound)+len(out.Claimed) > 0 {
		return out
	}
	return nil
}

// nearNow are the rows of which the hot set is to be told. All of them while it is to be
// told of others: those may be older versions of the same tasks.
func (s *Scheduler) nearNow(ctx context.Context, p int, rows []task.Row) []task.Row {
	asOf, err := s.set.Clock(ctx, p)
	if err != nil || s.set.owes() { // the removal says what is wrong
		return rows
	}
	return near(rows, s.farAbove(asOf, 0))
}

// farLine is a due time above which the durable store need not read what it deletes.
type farLine struct {
	aboveMS int64
	asOf    task.AsOf // the latest of the times that the hot set told
	drawn   time.Time // before it was asked
}

// lateCommit is how much later than what is far a row must be due that is deleted unread,
// since nobody can tell the hot set of it afterwards: no deletion takes as long, nor does a
// COMMIT land as late whose connection was lost.
const lateCommit = 10 * time.Minute

// drawLine draws it for a deletion of ids; at the end of all times if the hot set does not
// answer, or is still to be told of others.
func (s *Scheduler) drawLine(ctx context.Context, ids []string) farLine {
	none := farLine{aboveMS: task.MaxDue}
	s.knowWindow(ctx)
	if s.set.owes() {
		return none
	}
	ctx, cancel := context.WithTimeout(ctx, hotWait)
	defer cancel()
	l, asked := farLine{drawn: time.Now()}, make([]bool, s.parts)
	for _, id := range ids {
		p := task.Partition(id, s.parts)
		if asked[p] {
			continue
		}
		asked[p] = true
		if !s.hotWell(p) {
			return none
		}
		a, err := s.set.Clock(ctx, p)
		if err != nil {
			return none // the removal says what is wrong
		}
		if a.TimeUS >= l.asOf.TimeUS {
			l.asOf = a
		}
	}
	l.aboveMS = min(s.farAbove(l.asOf, 0)+lateCommit.Milliseconds(), task.MaxDue)
	return l
}

// nearBy returns the IDs of which the hot set may hold a version after all, of what was
// deleted unread.
func (s *Scheduler) nearBy(ctx context.Context, l farLine, unread []task.Ref) (ids []string) {
	if len(unread) == 0 {
		return nil
	}
	s.knowWindow(ctx)
	near := unread
	if s.farAbove(l.asOf, elapsed(l.drawn)) <= l.aboveMS {
		near = s.set.older(unread)
	}
	for _, r := range near {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
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

// removeMembers removes the members of rows that are gone, and returns the IDs of
// those that a worker may have in hand.
func (s *Scheduler) removeMembers(ctx context.Context, p int, rows []task.Row) (claimed []string, err error) {
	refs := task.Versions(rows)
	removed, err := s.set.Remove(ctx, p, "", refs)
	if err != nil {
		return nil, err
	}
	answers := removed.Answers[len(refs)-len(rows):]
	var lost []task.Row // what may have been claimed before a loss of data
	for i, r := range rows {
		switch {
		case answers[i] == task.Claimed:
			claimed = append(claimed, r.ID)
		case r.PrevVer != 0 || r.DueMS <= removed.AsOf.TimeUS/1000+clocksAgree:
			lost = append(lost, r)
		}
	}
	if len(lost) == 0 {
		return claimed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	st, err := s.set.State(ctx, p)
	if err != nil {
		return claimed, err
	}
	if st.AsOf.TimeUS/1000 > st.StartMS+s.o.Lease.Milliseconds() {
		return claimed, nil // whoever had claimed something has it no longer
	}
	for _, r := range lost {
		if r.PrevVer != 0 || r.DueMS <= st.StartMS+clocksAgree {
			claimed = append(claimed, r.ID)
		}
	}
	return claimed, nil
}

// clocksAgree is by how many milliseconds the clocks of two Redis servers may differ.
const clocksAgree = 1000

// doubt has the hot set told of versions whose rows a call may have deleted that
// ended with an error, once the durable store says that they are gone.
func (s *Scheduler) doubt(refs []task.Ref) {
	byPart := map[int][]task.Ref{}
	for _, ref := range refs {
		p := task.Partition(ref.ID, s.parts)
		byPart[p] = append(byPart[p], ref)
	}
	for p, refs := range byPart {
		s.set.doubt(p, refs)
	}
}
