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
// delivery that was under way may still happen. The others are deleted. After any
// other error, the end of ctx too, some or all of the rows may be deleted, with the
// hot set still to be told, which this process goes on trying.
//
// For one Lease after Redis has lost its data, or been exchanged, nobody can tell what
// had been claimed before: Delete then names as claimed whatever was due by then, or
// had been rescheduled. All processes must have the same Lease for that, and the
// clocks of the Redis servers must agree within a second.
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
// tasks that are far that is nothing (rule 6).
func (s *Scheduler) dropRows(ctx context.Context, ids []string) error {
	out := &IDError{}
	s.knowWindow(ctx)
	failpoint.Hit("delete/row")
	rows, err := s.store.Drop(ctx, ids)
	if err != nil {
		s.doubt(task.Unsure(err))
		return fmt.Errorf("delete: %w", err)
	}
	s.counts.deleted.Add(uint64(len(rows)))
	if len(rows) < len(ids) {
		out.NotFound = missing(ids, rows)
	}
	byPart := map[int][]task.Row{}
	for _, r := range rows {
		p := task.Partition(r.ID, s.parts)
		byPart[p] = append(byPart[p], r)
	}
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

// Reschedule gives a task another due time, earlier or later, waiting or in
// flight: an old delivery can no longer confirm it, and its Context ends. Nil: the
// task fires at due, and not at its old time unless a worker had claimed it
// before. ErrNotFound: there is no such task (it may have been confirmed). After
// any other error it may fire at either time or both, until this process has told
// the hot set, which it goes on trying.
//
// A row names the version that it had before, because who moved it may have died
// before the hot set was told. So at most one such version is there: before a row is
// moved on, what it was before is removed.
func (s *Scheduler) Reschedule(ctx context.Context, id string, due time.Time) error {
	dueMS, err := task.DueMS(due)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("reschedule: %w", err)
	}
	for {
		rows, err := s.store.Get(ctx, []string{id})
		if err != nil {
			return fmt.Errorf("reschedule: %w", err)
		}
		if len(rows) == 0 {
			return fmt.Errorf("reschedule: %w", &IDError{NotFound: []string{id}})
		}
		old, to := rows[0], rows[0]
		failpoint.Hit("reschedule/sweep")
		if prev, is := old.Prev(); is {
			if _, err := s.set.Remove(ctx, task.Partition(id, s.parts), "", []task.Ref{prev}); err != nil {
				return fmt.Errorf("reschedule: the version of before: %w", err)
			}
		}
		to.Ver, to.DueMS, to.ExecMS, to.Attempt = task.NewVer(), dueMS, dueMS, 0
		asOf := s.asOf(ctx, []task.Row{to})
		failpoint.Hit("reschedule/move")
		moved, err := s.store.Move(ctx, old.Ref, to)
		if err != nil {
			s.doubt([]task.Ref{old.Ref})
			return fmt.Errorf("reschedule: %w", err)
		}
		if !moved {
			continue // somebody else did so at the same time: theirs came first
		}
		s.counts.rescheduled.Add(1)
		failpoint.Hit("reschedule/remove")
		_, err = s.set.Remove(ctx, task.Partition(id, s.parts), "", []task.Ref{old.Ref})
		failpoint.Hit("reschedule/add")
		s.addCreated(asOf)
		if err != nil {
			return fmt.Errorf("reschedule: the row is moved, the hot set is still to be told: %w", err)
		}
		failpoint.Hit("reschedule/end")
		return nil
	}
}

// State is where a task is.
type State int

// States of a task.
const (
	Unknown   State = iota // the hot set did not answer
	Scheduled              // in the durable store alone: its time is far
	Preloaded              // in the hot set, waiting
	InFlight               // claimed by a worker
)

// Info is what is known of a task.
type Info struct {
	Task
	State   State
	Attempt int       // rollbacks and lost leases so far
	Next    time.Time // when it is next offered; zero if InFlight
}

// Get returns a task. ErrNotFound: there is none of that ID.
func (s *Scheduler) Get(ctx context.Context, id string) (Info, error) {
	if err := task.CheckID(id); err != nil {
		return Info{}, fmt.Errorf("get: %w", err)
	}
	rows, err := s.store.Get(ctx, []string{id})
	if err != nil {
		return Info{}, fmt.Errorf("get: %w", err)
	}
	if len(rows) == 0 {
		return Info{}, fmt.Errorf("get: %w", &IDError{NotFound: []string{id}})
	}
	r := rows[0]
	info := Info{Task: Task{ID: id, Due: time.UnixMilli(r.ExecMS).UTC(), Payload: r.Payload}, Attempt: r.Attempt, Next: time.UnixMilli(r.DueMS).UTC()}
	found, err := s.set.Find(ctx, task.Partition(id, s.parts), []task.Ref{r.Ref})
	if err != nil {
		s.report.Error("find a task", err, "answered without its state")
		return info, nil
	}
	switch f := found[0]; f.Answer {
	case task.Waiting:
		info.State, info.Attempt, info.Next = Preloaded, f.Attempt, time.UnixMilli(f.NextMS).UTC()
	case task.Claimed:
		info.State, info.Attempt, info.Next = InFlight, f.Attempt, time.Time{}
	default:
		info.State = Scheduled
	}
	return info, nil
}
