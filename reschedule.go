package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/task"
)

// Reschedule gives a task another due time, earlier or later, waiting or in
// flight: an old delivery can no longer confirm it, and its Context ends. Nil: the
// task fires at due, and not at its old time unless a worker had claimed it
// before. ErrNotFound: there is no such task (it may have been confirmed).
// ErrInvalid: the id or due breaks a rule (for example, due is later than Task.Expires, which stays), and nothing has changed. After any other
// error the task may fire at either time or both, until this process has changed the
// hot set; it goes on trying that.
func (s *Scheduler) Reschedule(ctx context.Context, id string, due time.Time) error {
	dueMS, err := task.DueMS(due)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("reschedule: %w", err)
	}
	if err := s.edit(ctx, id, edit{due: true, dueMS: dueMS}); err != nil {
		return fmt.Errorf("reschedule: %w", err)
	}
	return nil
}

// edit is a Change that was checked.
type edit struct {
	due     bool // dueMS is set
	dueMS   int64
	payload []byte  // nil: it stays
	headers *string // encoded; nil: they stay
}

// texts reports whether payload or headers change.
func (e edit) texts() bool { return e.payload != nil || e.headers != nil }

// check refuses a due time that is later than the task expires.
func (e edit) check(r task.Row) error {
	if !e.due || r.ExpiresMS == 0 || e.dueMS <= r.ExpiresMS {
		return nil
	}
	return fmt.Errorf("%w: due %s is later than task %q expires, %s", ErrInvalid, time.UnixMilli(e.dueMS).UTC().Format(time.RFC3339Nano),
		r.ID, task.Expiry(r.ExpiresMS).Format(time.RFC3339Nano))
}

// of returns what becomes of a row.
func (e edit) of(r task.Row) task.Row {
	r.Ver = task.NewVer()
	if e.due {
		r.NextMS, r.DueMS, r.Attempt = e.dueMS, e.dueMS, 0
	}
	if e.payload != nil {
		r.Payload = e.payload
	}
	if e.headers != nil {
		r.Headers = *e.headers
	}
	if e.texts() {
		r.Size = r.Bytes()
	}
	return r
}

// edit changes a task, in whatever version it is.
func (s *Scheduler) edit(ctx context.Context, id string, e edit) error {
	ctx, release := unlessGone(ctx)
	defer release()
	for moved := false; !moved; {
		rows, err := s.store.Get(ctx, []string{id})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return &IDError{NotFound: []string{id}}
		}
		if moved, err = s.move(ctx, rows[0], e); err != nil {
			return err
		}
	}
	return nil
}

// move moves a row, and its member in the hot set. It returns false if another call moved the row at the same
// time.
//
// A row names the version that it had before, because the process that moved it may have died
// before it removed that version from the hot set. At most one such version is there: before a row
// is moved again, its previous version is removed.
func (s *Scheduler) move(ctx context.Context, old task.Row, e edit) (bool, error) {
	if err := e.check(old); err != nil {
		return false, err
	}
	if prev, is := old.Prev(); is {
		if err := s.removePrevious(ctx, []task.Ref{prev}); err != nil {
			return false, err
		}
	}
	to := e.of(old)
	parts := s.adds.Stamp(ctx, []task.Row{to}) // before the commit (AsOfBeforeRead)
	failpoint.Hit("reschedule/move")

	// The commit point (RowFirst). A crash before it leaves the task as it was. A crash after it
	// leaves the old member, which may fire once at its old time, and a row that the feeder or
	// the auditor adds at its new time. The next call that removes the task removes both versions.
	write := s.store.Move
	if e.texts() {
		write = s.store.Replace
	}
	moved, err := write(ctx, old.Ref, to)
	if errors.Is(err, ErrGone) {
		return false, nil // a try whose answer was lost may have moved it, but it was moved again since
	}
	if err != nil { // the outcome is unknown: the retries find out
		s.removals.EnqueueUnsure([]task.Ref{old.Ref})
		s.adds.Enqueue(horizon.NearByLocalClock([]task.Row{to}))
		return false, err
	}
	if !moved {
		return false, nil
	}
	s.counts.rescheduled.Add(1)
	return true, s.exchange(ctx, []task.Ref{old.Ref}, parts)
}

// removePrevious removes from the hot set the previous versions of rows that are about to be moved, so that there
// is never a third version.
func (s *Scheduler) removePrevious(ctx context.Context, prev []task.Ref) error {
	failpoint.Hit("reschedule/previous")
	if err := s.removeRefs(ctx, prev); err != nil {
		return fmt.Errorf("the previous version: %w", err)
	}
	return nil
}

// exchange removes the members of versions that are no more, and adds those of the rows that took their places.
func (s *Scheduler) exchange(ctx context.Context, old []task.Ref, parts []preload.PartitionRows) error {
	failpoint.Hit("reschedule/remove")
	err := s.removeRefs(ctx, old)
	failpoint.Hit("reschedule/add")
	s.adds.Add(parts)
	if err != nil {
		return fmt.Errorf("the row is moved, the hot set has not been told yet: %w", err)
	}
	failpoint.Hit("reschedule/end")
	return nil
}

// removeRefs removes members, partition by partition, also if one of them fails: only a removal that was tried is
// queued for a retry.
func (s *Scheduler) removeRefs(ctx context.Context, refs []task.Ref) (err error) {
	byPart := map[int][]task.Ref{}
	for _, ref := range refs {
		p := task.Partition(ref.ID, s.parts)
		byPart[p] = append(byPart[p], ref)
	}
	for p, refs := range byPart {
		_, failed := s.set.Remove(ctx, p, "", refs)
		err = errors.Join(err, failed)
	}
	return err
}
