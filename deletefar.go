package triggerhook

import (
	"context"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// farLine is a due time above which the durable store need not read what it deletes, because
// the hot set holds nothing of it (FarUntold).
type farLine struct {
	aboveMS int64
	asOf    task.AsOf // the latest of the times that the hot set told
	drawn   time.Time // before the hot set was asked
}

// lateCommit is how much later than a far task a row must be due that is deleted unread,
// because its version is not known afterwards. No deletion takes as long, and no COMMIT whose
// connection was lost lands as late.
const lateCommit = 10 * time.Minute

// drawLine draws the line for a deletion of ids. It is the end of all times if the hot set does
// not answer, or is still to be told of other removals.
func (s *Scheduler) drawLine(ctx context.Context, ids []string) farLine {
	none := farLine{aboveMS: task.MaxDue}
	s.records.Freshen(ctx)
	if s.removals.Pending() {
		return none
	}
	ctx, cancel := context.WithTimeout(ctx, preload.Timeout)
	defer cancel()
	l, asked := farLine{drawn: time.Now()}, make([]bool, s.parts)
	for _, id := range ids {
		p := task.Partition(id, s.parts)
		if asked[p] {
			continue
		}
		asked[p] = true
		if !s.adds.Available(p) {
			return none
		}
		asOf, err := s.set.Clock(ctx, p)
		if err != nil {
			return none // the removal reports what is wrong
		}
		if asOf.TimeUS >= l.asOf.TimeUS {
			l.asOf = asOf
		}
	}
	l.aboveMS = min(s.window.FarAbove(l.asOf, 0)+lateCommit.Milliseconds(), task.MaxDue)
	return l
}

// nearAfterAll returns the IDs of those tasks that were deleted unread of which the hot set may
// hold a version nevertheless.
func (s *Scheduler) nearAfterAll(ctx context.Context, l farLine, unread []task.Ref) (ids []string) {
	if len(unread) == 0 {
		return nil
	}
	s.records.Freshen(ctx)
	near := unread
	if s.window.FarAbove(l.asOf, wait.Elapsed(l.drawn)) <= l.aboveMS {
		near = s.removals.OlderVersions(unread)
	}
	for _, r := range near {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// nearByHotSet returns the rows of which the hot set is to be told. That is all of them while
// removals wait, which may be older versions of the same tasks.
func (s *Scheduler) nearByHotSet(ctx context.Context, p int, rows []task.Row) []task.Row {
	asOf, err := s.set.Clock(ctx, p)
	if err != nil || s.removals.Pending() { // the removal reports what is wrong
		return rows
	}
	return horizon.Near(rows, s.window.FarAbove(asOf, 0))
}
