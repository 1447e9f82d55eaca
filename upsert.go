package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/task"
)

// OnConflict says what Upsert does with a task whose ID exists: Keep, Replace, Earliest or Debounce.
type OnConflict = task.OnConflict

// What Upsert does with a task whose ID exists.
const (
	Keep     = task.Keep     // the stored task stays as it is: a producer that repeats a call makes no second task
	Replace  = task.Replace  // payload and headers become the new ones, due time and Expires stay; with the same ones the task is kept
	Earliest = task.Earliest // the stored task stays, and is offered at the earlier of the two times
	Debounce = task.Debounce // payload, headers, due time and Expires become the new ones: each call pushes the task out
)

// UpsertOutcome is what Upsert did with one task: Created, Kept or Replaced.
type UpsertOutcome = task.UpsertOutcome

// Outcomes of Upsert.
const (
	Created  = task.Created  // there was none of that ID
	Kept     = task.Kept     // the stored task is as it was: of Keep, of Earliest if it was the earlier one, of Replace if it was the same
	Replaced = task.Replaced // the stored task was changed, as OnConflict says
)

// Upsert is Create for tasks whose IDs may exist: it does with those what on says, and tells for each task, in order, what it
// did. All tasks of a call are stored in one transaction, all or none. So the outcome of a call that
// is repeated after a timeout is as if it had been made once: no ID has two tasks. A task that was done in between
// has no row any more, and is created anew.
//
// What Replace, Earliest and Debounce change is changed as Reschedule and Update do it: an old delivery can no longer
// confirm the task, its Context ends, and the task is offered again as it is now. Earliest compares with the time at which
// the stored task is next offered, as its row has it, and keeps the attempts. Debounce counts them from 1 again. What Replace and Earliest
// change loses a delay and an attempt as after an Update without a Due.
//
// Upsert writes into tasks, and refuses them, as Create does. ErrInvalid, ErrTooLarge and ErrPaused: nothing was stored. If the outcomes come
// with an error, everything is stored, and the old versions may still fire until this process has changed the hot set;
// it goes on trying that. After any other error the outcome is unknown, and the same call may be repeated. No tasks: nil.
// Hooks.Created is told of the tasks that were created.
func (s *Scheduler) Upsert(ctx context.Context, on OnConflict, tasks ...*Task) ([]UpsertOutcome, error) {
	if err := on.Check(); err != nil {
		return nil, fmt.Errorf("upsert: %w", err)
	}
	rows, err := s.rows(tasks)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if err := s.checkProducers(ctx); err != nil {
		return nil, fmt.Errorf("upsert: %w", err)
	}
	ctx, release := unlessGone(ctx)
	defer release()
	done, parts, err := s.upsert(ctx, on, rows)
	if err != nil {
		return nil, err
	}
	outcomes, byID := make([]UpsertOutcome, len(done)), make(map[string]task.Upserted, len(done))
	var was []task.Ref
	var created []task.Row
	for i, d := range done {
		switch outcomes[i], byID[rows[i].ID] = d.Outcome, d; d.Outcome {
		case Replaced:
			was = append(was, d.Was)
		case Created:
			created = append(created, d.Row)
		}
	}
	s.counts.created.Add(uint64(len(created)))
	s.counts.rescheduled.Add(uint64(len(was)))
	if len(created) > 0 {
		s.tellCreated(created)
	}
	if err := s.exchange(ctx, was, changed(parts, byID)); err != nil {
		return outcomes, fmt.Errorf("upsert: %w", err)
	}
	return outcomes, nil
}

// upsert stores rows. If that would move rows on that name previous versions, it removes these from the hot set first.
func (s *Scheduler) upsert(ctx context.Context, on OnConflict, rows []task.Row) ([]task.Upserted, []preload.PartitionRows, error) {
	for {
		parts := s.adds.Stamp(ctx, rows) // before the commit (AsOfBeforeRead)
		failpoint.Hit("upsert/commit")

		// The commit point (RowFirst). A crash before it leaves nothing. A crash after it leaves what a crash
		// of a Create leaves, and of rows that were changed what a crash of a Reschedule leaves.
		done, err := s.store.Upsert(ctx, rows, on)
		var prev *task.PrevError
		if errors.As(err, &prev) {
			if err := s.removePrevious(ctx, prev.Refs); err != nil {
				return nil, nil, fmt.Errorf("upsert: %w", err)
			}
			rows = knowing(rows, prev.Refs)
			continue
		}
		if err != nil { // the outcome is unknown: the retries find out
			s.removals.EnqueueUnsure(task.Unsure(err))
			if on != Replace { // which leaves the due times that are stored
				rows = horizon.NearByLocalClock(rows)
			}
			s.adds.Enqueue(rows)
		}
		return done, parts, err
	}
}

// knowing returns rows with the previous versions that were removed from the hot set.
func knowing(rows []task.Row, removed []task.Ref) []task.Row {
	prev := make(map[string]int64, len(removed))
	for _, ref := range removed {
		prev[ref.ID] = ref.Ver
	}
	rows = slices.Clone(rows)
	for i, r := range rows {
		if ver, is := prev[r.ID]; is {
			rows[i].PrevVer = ver
		}
	}
	return rows
}

// changed returns the rows of parts as they are stored now, without those that were kept.
func changed(parts []preload.PartitionRows, done map[string]task.Upserted) []preload.PartitionRows {
	for i := range parts {
		var rows []task.Row
		for _, r := range parts[i].Rows {
			if d := done[r.ID]; d.Outcome != Kept {
				rows = append(rows, d.Row)
			}
		}
		parts[i].Rows = rows
	}
	return parts
}
