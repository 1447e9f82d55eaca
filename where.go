package triggerhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/task"
)

// WhereOptions are options of DeleteWhere and RescheduleWhere.
type WhereOptions struct {
	// All allows a Filter that matches all tasks. Without it the zero Filter is ErrInvalid.
	All bool
	// DryRun changes nothing, and counts what matches.
	DryRun bool
	// Progress is called after each page, of at most 1000 tasks, with how many were deleted or rescheduled so
	// far; in a dry run, the pages of which may be longer, with how many match. The calls come one after another.
	Progress func(done int)
}

// WhereResult is what DeleteWhere or RescheduleWhere did.
type WhereResult struct {
	Matched int // tasks that matched when their page was read
	Changed int // those of them that were deleted or rescheduled; the others were gone by then
	Claimed int // those deleted ones that a worker had claimed before, or may have (ErrClaimed)
	Refused int // those that RescheduleWhere leaves, or would leave, because their new time breaks a rule
}

// Shift says where RescheduleWhere moves tasks. One of its fields is set.
type Shift struct {
	By time.Duration // each task, earlier or later, from the time at which it is next offered
	To time.Time     // all tasks, to this time
}

// DeleteWhere deletes the tasks that match f, page by page, each page as Delete does. The error is nil if
// all were deleted, also if some of them were claimed: the result counts these. With an error the result
// says how far it came, and the call may be repeated.
//
// ErrInvalid: f or o breaks a rule, and nothing is deleted. A task is deleted also if it changes between the moment
// at which its page is read and its deletion. A task that is created, or comes to match, meanwhile may stay. Once ctx has
// ended no further page is begun.
func (s *Scheduler) DeleteWhere(ctx context.Context, f Filter, o WhereOptions) (WhereResult, error) {
	m, err := f.match()
	w := &where{s: s, match: m, o: o}
	w.act = w.deletePage
	if err == nil {
		err = w.run(ctx)
	}
	if err != nil {
		return w.WhereResult, fmt.Errorf("delete where, %d tasks deleted: %w", w.Changed, err)
	}
	return w.WhereResult, nil
}

// RescheduleWhere moves the tasks that match f, each once and each as Reschedule does, page by page: a page is one transaction. With an error the
// result says how many were moved: a repeated call with To goes on from there, and one with By moves those again
// that match still.
//
// ErrInvalid: f, to or o breaks a rule, and nothing is moved. Or WhereResult.Refused is not zero: the new time of so many tasks would lie before
// 1970, beyond year 9999, or later than their Task.Expires, and the error names one. These stay as they are, and all others are moved. A dry
// run counts them without an error. A task that changes after its page was read is moved if it matches still. Tasks that are due at To already do not
// count as matched. Once ctx has ended no further page is begun.
func (s *Scheduler) RescheduleWhere(ctx context.Context, f Filter, to Shift, o WhereOptions) (WhereResult, error) {
	m, err := f.match()
	toMS, wrong := to.check()
	m.notMS = toMS
	w := &where{s: s, match: m, o: o, by: to.By.Milliseconds(), toMS: toMS}
	w.act, w.check = w.movePage, func(row task.Row) error {
		_, err := w.to(row)
		return err
	}
	if err = errors.Join(err, wrong); err == nil {
		err = w.run(ctx)
	}
	if err == nil && w.refused != nil {
		err = fmt.Errorf("%d tasks stay as they are, one because: %w", w.Refused, w.refused)
	}
	if err != nil {
		return w.WhereResult, fmt.Errorf("reschedule where, %d tasks moved: %w", w.Changed, err)
	}
	return w.WhereResult, nil
}

// check checks to, and returns To in unix milliseconds, or 0.
func (to Shift) check() (toMS int64, err error) {
	switch {
	case (to.By != 0) == !to.To.IsZero():
		return 0, fmt.Errorf("%w: Shift.By is %s and Shift.To is %s, exactly one of them is set", ErrInvalid, to.By, to.To)
	case to.By%time.Millisecond != 0:
		return 0, fmt.Errorf("%w: Shift.By is %s, it is a whole number of milliseconds", ErrInvalid, to.By)
	case to.By != 0:
		return 0, nil
	}
	return task.DueMS(to.To)
}

// where is one call of DeleteWhere or RescheduleWhere. One goroutine owns it.
type where struct {
	WhereResult
	s     *Scheduler
	match match
	o     WhereOptions
	act   func(ctx context.Context, rows []task.Row) error // changes the tasks of a page, and counts in WhereResult
	by    int64                                            // RescheduleWhere: milliseconds, or 0
	toMS  int64                                            // likewise, if by is 0
	check func(task.Row) error                             // likewise: whether a task may be moved; nil: each may
	// refused is why the first task that is counted in Refused is not moved.
	refused error
}

// run calls act for all tasks that match, page by page. A task that was moved must not be met again, so pages
// are read against the direction of a move: the last task first, if tasks move to later times.
func (w *where) run(ctx context.Context) error {
	ctx, release := unlessGone(ctx)
	defer release()
	if w.match.all() && !w.o.All {
		return fmt.Errorf("%w: the Filter matches all tasks, which WhereOptions.All must allow", ErrInvalid)
	}
	if err := notAfter("Filter.After", w.match.after != (task.Cursor{})); err != nil {
		return err
	}
	if w.o.DryRun && w.check == nil && len(w.match.headers) == 0 {
		return w.count(ctx)
	}
	inline := 0
	if len(w.match.headers) > 0 {
		inline = math.MaxInt32
	}
	for rows, err := range w.s.pages(ctx, w.match, w.by > 0, inline) {
		if err == nil {
			rows, err = w.withHeaders(ctx, rows)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && len(rows) > 0 {
			err = w.page(ctx, rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// count counts what matches in the store, which reads no row for it that has another time, and no payload.
func (w *where) count(ctx context.Context) error {
	for page := (task.CountPage{More: true}); page.More; {
		var err error
		if page, err = w.s.store.CountPage(ctx, w.match.span(), page.Next); err != nil {
			return err
		}
		if w.Matched += page.N; page.N > 0 && w.o.Progress != nil {
			w.o.Progress(w.Matched)
		}
	}
	return nil
}

// withHeaders returns those of rows that have the headers of the Filter, without their payloads.
func (w *where) withHeaders(ctx context.Context, rows []task.Row) (has []task.Row, err error) {
	if len(w.match.headers) == 0 {
		return rows, nil
	}
	err = w.s.whole(ctx, rows, func(r task.Row) (bool, error) {
		is, err := w.match.row(r)
		if r.Payload, r.Headers = nil, ""; is {
			has = append(has, r)
		}
		return true, err
	})
	return has, err
}

// page calls act for the rows of a page, which match, unless nothing is to be changed.
func (w *where) page(ctx context.Context, rows []task.Row) (err error) {
	w.Matched += len(rows)
	done := &w.Matched
	switch {
	case !w.o.DryRun:
		done, err = &w.Changed, w.act(ctx, rows)
	case w.check != nil:
		for _, row := range rows {
			if w.check(row) != nil {
				w.Refused++
			}
		}
	}
	if w.o.Progress != nil {
		w.o.Progress(*done)
	}
	return err
}

// deletePage deletes the tasks of rows.
func (w *where) deletePage(ctx context.Context, rows []task.Row) error {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	err := w.s.Delete(ctx, ids...)
	some := &IDError{}
	if err != nil && (!errors.As(err, &some) || len(some.Invalid) > 0) {
		return err
	}
	w.Changed += len(ids) - len(some.NotFound)
	w.Claimed += len(some.Claimed)
	return nil
}

// movePage moves the tasks of rows, and those again that have changed since they were read, if they match still. A task
// the new time of which breaks a rule stays.
func (w *where) movePage(ctx context.Context, rows []task.Row) error {
	for len(rows) > 0 {
		var moves []task.Move
		var legal []task.Row
		for _, row := range rows {
			to, err := w.to(row)
			if err != nil {
				w.Refused, w.refused = w.Refused+1, cmp.Or(w.refused, err)
				continue
			}
			legal, moves = append(legal, row), append(moves, to)
		}
		left, err := w.s.moveMany(ctx, legal, moves)
		w.Changed += len(legal) - len(left)
		if err == nil && len(left) > 0 {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if rows, err = w.again(ctx, left); err != nil {
			return err
		}
	}
	return nil
}

// to says where a row is to be moved.
func (w *where) to(row task.Row) (task.Move, error) {
	e := edit{due: true, dueMS: w.toMS}
	if w.by != 0 {
		e.dueMS = row.NextMS + w.by
	}
	if e.dueMS < 0 || e.dueMS > task.MaxDue {
		return task.Move{}, fmt.Errorf("%w: task %q would be due before 1970 or beyond year 9999", ErrInvalid, row.ID)
	}
	return task.Move{Ref: row.Ref, To: task.NewVer(), DueMS: e.dueMS}, e.check(row)
}

// again returns the rows of those ids that match, as they are now.
func (w *where) again(ctx context.Context, rows []task.Row) (match []task.Row, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	if rows, err = w.s.store.Get(ctx, ids); err != nil {
		return nil, err
	}
	err = w.s.whole(ctx, rows, func(r task.Row) (bool, error) {
		is, err := w.match.row(r)
		if r.Payload, r.Headers = nil, ""; is {
			match = append(match, r)
		}
		return true, err
	})
	return match, err
}

// moveMany moves rows, and their members in the hot set, as Scheduler.move does. It returns those that are not moved, because another
// call moved or deleted them.
func (s *Scheduler) moveMany(ctx context.Context, old []task.Row, moves []task.Move) (left []task.Row, err error) {
	if len(old) == 0 {
		return nil, nil
	}
	var prev []task.Ref
	refs, to := make([]task.Ref, len(old)), make([]task.Row, len(old))
	for i, row := range old {
		refs[i] = row.Ref
		if before, is := row.Prev(); is {
			prev = append(prev, before)
		}
		to[i] = row
		to[i].Ver, to[i].NextMS, to[i].DueMS, to[i].Attempt = moves[i].To, moves[i].DueMS, moves[i].DueMS, 0
	}
	if len(prev) > 0 {
		if err := s.removePrevious(ctx, prev); err != nil {
			return old, err
		}
	}
	parts := s.adds.Stamp(ctx, to) // before the commit (AsOfBeforeRead)
	failpoint.Hit("reschedule/many")

	// The commit point (RowFirst). A crash leaves of each row what a crash of a Reschedule leaves.
	moved, err := s.store.MoveMany(ctx, moves)
	if errors.Is(err, ErrGone) {
		return old, nil // a try whose answer was lost may have moved them, but they were moved again since
	}
	if err != nil { // the outcome is unknown: the retries find out
		s.removals.EnqueueUnsure(refs)
		s.adds.Enqueue(horizon.NearByLocalClock(to))
		return old, err
	}
	var was []task.Ref
	changed := make(map[int64]bool, len(old)) // by their new versions
	for i, row := range old {
		if moved[i] {
			was, changed[moves[i].To] = append(was, row.Ref), true
		} else {
			left = append(left, row)
		}
	}
	s.counts.rescheduled.Add(uint64(len(was)))
	return left, s.exchange(ctx, was, onlyVersions(parts, changed))
}

// onlyVersions returns parts with the rows that have one of vers.
func onlyVersions(parts []preload.PartitionRows, vers map[int64]bool) []preload.PartitionRows {
	for i := range parts {
		var rows []task.Row
		for _, r := range parts[i].Rows {
			if vers[r.Ver] {
				rows = append(rows, r)
			}
		}
		parts[i].Rows = rows
	}
	return parts
}
