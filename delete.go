package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// Delete deletes tasks by their IDs. Nil: none of them will be delivered. An
// IDError names those that were not found (ErrNotFound), and those that a worker
// had claimed before (ErrClaimed): their rows are deleted, but the one delivery
// that was under way may still happen. The others are deleted. After any other
// error some rows may be deleted; if it is ErrUnavailable all of them may be, with
// the hot set still to be told, which this process goes on trying.
//
// In the second after Redis has lost its data nobody can tell what was claimed
// before: then Delete may return nil, and a worker that had claimed the task may
// still hand it out until it has asked for its row.
func (s *Scheduler) Delete(ctx context.Context, ids ...string) error {
	out := &IDError{}
	open := map[string]bool{}
	for _, id := range ids {
		if err := task.CheckID(id); err != nil {
			return fmt.Errorf("delete: %w", errors.Join(err, &IDError{Invalid: []string{id}}))
		}
		open[id] = true
	}
	for len(open) > 0 {
		refs, err := s.store.Versions(ctx, keysOf(open))
		if err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		found := map[string]bool{}
		for _, r := range refs {
			found[r.ID] = true
		}
		for id := range open {
			if !found[id] {
				out.NotFound = append(out.NotFound, id)
				delete(open, id)
			}
		}
		if len(refs) == 0 {
			break
		}
		if err := s.deleteRows(ctx, refs, open, out); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	if len(out.NotFound)+len(out.Claimed) > 0 {
		return out
	}
	return nil
}

func keysOf(m map[string]bool) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}

// deleteRows deletes rows in the versions read, and then their members (rule 1).
// Who got another version meanwhile stays open.
func (s *Scheduler) deleteRows(ctx context.Context, refs []task.Ref, open map[string]bool, out *IDError) error {
	failpoint.Hit("delete/row")
	deleted, err := s.store.Delete(ctx, refs)
	if err != nil {
		s.doubt(err, refs)
		return err
	}
	byPart := map[int][]task.Ref{}
	for i, ref := range refs {
		if deleted[i] {
			delete(open, ref.ID)
			s.counts.deleted.Add(1)
			p := task.Partition(ref.ID, s.parts)
			byPart[p] = append(byPart[p], ref)
		}
	}
	for p, refs := range byPart { // all of them: a removal that fails is tried again only once it was tried
		failpoint.Hit("delete/remove")
		answers, e := s.set.Remove(ctx, p, "", refs)
		err = errors.Join(err, e)
		for i, a := range answers {
			if a == task.Claimed {
				out.Claimed = append(out.Claimed, refs[i].ID)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("rows are deleted, the hot set is still to be told: %w", err)
	}
	failpoint.Hit("delete/end")
	return nil
}

// doubt has the hot set told of rows that a call may have deleted which ended with
// err, once the durable store says that they are gone.
func (s *Scheduler) doubt(err error, refs []task.Ref) {
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return // it was refused
	}
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
		to.Ver, to.DueMS, to.ExecMS, to.Attempt = rand.Int64(), dueMS, dueMS, 0
		asOf := s.asOf(ctx, []task.Row{to})
		failpoint.Hit("reschedule/move")
		moved, err := s.store.Move(ctx, old.Ref, to)
		if err != nil {
			s.set.doubt(task.Partition(id, s.parts), []task.Ref{old.Ref})
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
