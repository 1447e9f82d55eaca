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

// Delete deletes tasks by their IDs. Nil: none of them will be delivered. An
// IDError names those that were not found (ErrNotFound), and those that a worker
// had claimed before, or may have (ErrClaimed): their rows are deleted, but the one
// delivery that was under way may still happen. The others are deleted. ErrInvalid: an ID
// breaks a rule, and nothing is deleted. ErrTooLarge: a call takes at most 100,000 IDs, and
// nothing is deleted. After any other error, the end of ctx too, some or all of the rows may
// be deleted, with the hot set still to be told, which this process goes on trying.
//
// Many IDs are deleted in the order of the IDs, 1000 at a time, each of which is complete
// before the next begins. So what was deleted by an error stays deleted. A call that is
// repeated then reads of these IDs only that they are gone, names them as not found, and
// goes on where the error was. Once ctx has ended no further 1000 are begun.
//
// For one Lease after Redis has lost its data, or been exchanged, nobody can tell what
// had been claimed before: Delete then names as claimed whatever was due by then, or
// had been rescheduled: the longest Lease that a worker of the namespace has had. The
// clocks of the Redis servers must agree within a second. It names so, too, what was due
// and whose deletion took nine seconds, and tasks due far ahead whose deletion took ten minutes:
// they may have been preloaded meanwhile.
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
	if len(ids) > 1 {
		ids = slices.Clone(ids)
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	done, end := make(chan error, 1), s.set.calls.begin()
	go func() {
		defer end()
		done <- (&deletion{Scheduler: s}).run(ctx, ids)
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
	*Scheduler
	out    IDError
	untold map[int]error // by partition, why the hot set is still to be told of what is deleted
}

// run deletes part by part. A part that was begun is brought to its end, however long its
// caller waits: else rows might be deleted whose versions are known nowhere any more.
func (d *deletion) run(ctx context.Context, ids []string) error {
	d.untold = map[int]error{}
	whole := context.WithoutCancel(ctx)
	for done := 0; done < len(ids); {
		part := ids[done:min(done+pageRows, len(ids))]
		err := ctx.Err()
		if done == 0 || err == nil {
			err = d.part(whole, part)
		}
		if err != nil && len(ids) > pageRows {
			err = fmt.Errorf("the first %d of %d tasks are deleted: %w", done, len(ids), err)
		}
		if err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		done += len(part)
	}
	if len(d.untold) > 0 {
		return fmt.Errorf("delete: rows are deleted, the hot set is still to be told: %w", errors.Join(slices.Collect(maps.Values(d.untold))...))
	}
	failpoint.Hit("delete/end")
	if len(d.out.NotFound)+len(d.out.Claimed) > 0 {
		return &d.out
	}
	return nil
}

// part deletes rows, and then all that the hot set may hold of them (rule 1): of
// tasks that are far that is nothing (rule 6), and the store need not even read them.
// The error is that of the durable store.
func (d *deletion) part(ctx context.Context, ids []string) error {
	s := d.Scheduler
	line, began := s.drawLine(ctx, ids), time.Now()
	failpoint.Hit("delete/row")
	rows, err := s.store.Drop(ctx, ids, line.aboveMS)
	if err != nil {
		s.doubt(task.Unsure(err))
		return err
	}
	s.counts.deleted.Add(uint64(len(rows)))
	if len(rows) < len(ids) {
		d.out.NotFound = append(d.out.NotFound, missing(ids, rows)...)
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
	d.out.Claimed = append(d.out.Claimed, s.nearBy(ctx, line, unread)...)
	for p, rows := range byPart { // all of them: a removal that fails is tried again only once it was tried
		d.tell(ctx, p, rows, began)
	}
	return nil
}

// tell has the hot set remove what it may hold of rows that were deleted since began. A partition that
// failed once in this call is not waited for again: what is deleted further goes to the
// removals that are tried again.
func (d *deletion) tell(ctx context.Context, p int, rows []task.Row, began time.Time) {
	if d.untold[p] != nil {
		d.set.wait(removal{p: p, refs: task.Versions(rows)})
		return
	}
	if rows = d.nearNow(ctx, p, rows); len(rows) == 0 {
		return
	}
	failpoint.Hit("delete/remove")
	claimed, err := d.removeMembers(ctx, p, rows, began)
	if err != nil {
		d.untold[p] = err
	}
	d.out.Claimed = append(d.out.Claimed, claimed...)
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
	s.knowRecords(ctx)
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
	s.knowRecords(ctx)
	near := unread
	if s.farAbove(l.asOf, wait.Elapsed(l.drawn)) <= l.aboveMS {
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

// marked is for how long at least the hot set can tell that a worker had what was removed.
const marked = task.TombstoneTTL - time.Second

// removeMembers removes the members of rows that were deleted since began, and returns the
// IDs of those that a worker may have in hand.
func (s *Scheduler) removeMembers(ctx context.Context, p int, rows []task.Row, began time.Time) (claimed []string, err error) {
	refs := task.Versions(rows)
	removed, err := s.set.Remove(ctx, p, "", refs)
	if err != nil {
		return nil, err
	}
	answers := removed.Answers[len(refs)-len(rows):]
	var lost []task.Row // what may have been claimed of which the hot set knows nothing any more
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
	if wait.Elapsed(began) > marked { // who had one since may have removed it, and what tells that is forgotten
		for _, r := range lost {
			claimed = append(claimed, r.ID)
		}
		return claimed, nil
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	st, err := s.set.State(ctx, p)
	if err != nil {
		return claimed, err
	}
	if st.AsOf.TimeUS/1000 > st.StartMS+(s.longestLease()+wait.Elapsed(began)).Milliseconds() {
		return claimed, nil // whoever had claimed something before had it no longer when the rows went
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
