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

// farLine is a due time above which the durable store need not read the rows that it deletes, because
// the hot set holds nothing of them (FarUntold).
type farLine struct {
	aboveMS int64
	asOf    task.AsOf // the latest of the times that the hot set answered
	drawn   time.Time // before the hot set was asked
}

// now is the hot set's time, or this process's if the hot set has not answered.
func (l farLine) now() time.Time {
	if l.asOf.TimeUS == 0 {
		return time.Now()
	}
	return time.UnixMicro(l.asOf.TimeUS).Add(wait.Elapsed(l.drawn))
}

// lateCommit is how much later than a far task a row must be due to be deleted unread. Its version
// is not known afterwards, so the row must still be far when the deletion takes effect. It is far more than
// unsureFor of internal/removal, because nothing finds out about these rows later.
const lateCommit = 10 * time.Minute

// drawLine draws the line for a deletion of ids. The line is task.MaxDue, above which no row is due, if the hot set
// does not answer, or if other removals wait.
func (s *Scheduler) drawLine(ctx context.Context, ids []string) farLine {
	none := farLine{aboveMS: task.MaxDue}
	s.records.RefreshIfOld(ctx)
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

// nearAfterAll returns the IDs of those tasks that were deleted unread, but were not far by the end of
// the deletion, so that the hot set may hold a version of them.
func (s *Scheduler) nearAfterAll(ctx context.Context, l farLine, unread []task.Ref) (ids []string) {
	if len(unread) == 0 {
		return nil
	}
	s.records.RefreshIfOld(ctx)
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

// nearByHotSet returns the rows whose members must be removed. While removals wait, these are all
// rows, because a waiting removal may be of an older version of the same task.
func (s *Scheduler) nearByHotSet(ctx context.Context, p int, rows []task.Row) []task.Row {
	asOf, err := s.set.Clock(ctx, p)
	if err != nil || s.removals.Pending() { // the removal reports what is wrong
		return rows
	}
	return horizon.Near(rows, s.window.FarAbove(asOf, 0))
}
