package triggerhook

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/triggerhook/triggerhook/task"
)

const (
	// firstPage and mostPage are how many rows the first page of a scan has, and how many a page has at
	// most: each page is four times the one before, because many callers end early.
	firstPage = 64
	mostPage  = 1000
)

// List returns the tasks that match f, whole, with what Get tells of each: by the time at which they are next
// offered, then by ID; with an IDPrefix by ID alone. Filter.After begins a later page. It reads page by page, at most 1000 tasks and about 8 MiB
// of payloads at once, and no further than the caller's loop goes.
//
// A page is what the store has at one moment. A task that is created, moved or done while List runs may be missing,
// and a moved one may come twice. An error ends the sequence, and comes with a zero Info: ErrInvalid if f breaks a
// rule, the cause if ctx ends or the store does not answer. If the hot set does not answer, State is Unknown
// from there on.
func (s *Scheduler) List(ctx context.Context, f Filter) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		m, err := f.match()
		if err == nil {
			err = (&listing{s: s, m: m}).run(ctx, yield)
		}
		if err != nil {
			yield(Info{}, fmt.Errorf("list: %w", err))
		}
	}
}

// listing is one call of List. One goroutine owns it.
type listing struct {
	s       *Scheduler
	m       match
	unknown bool // the hot set has not answered, and is not asked again
}

// run yields all that matches, until the caller wants no more.
func (l *listing) run(ctx context.Context, yield func(Info, error) bool) error {
	for rows, err := range l.s.pages(ctx, l.m, false, math.MaxInt32) {
		more := false
		if err == nil {
			more, err = l.page(ctx, rows, yield)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// page yields what matches of a page, and reports whether the caller wants more.
func (l *listing) page(ctx context.Context, rows []task.Row, yield func(Info, error) bool) (more bool, err error) {
	found := l.find(ctx, rows)
	more = true
	err = l.s.whole(ctx, rows, func(r task.Row) (bool, error) {
		info, err := infoOf(r)
		if err != nil || !l.m.place(r) || !l.m.has(info.Headers) {
			return true, err
		}
		if f, is := found[r.Ref]; is {
			info.place(f)
		}
		more = yield(info, nil)
		return more, nil
	})
	return more, err
}

// find asks the hot set about rows, partition by partition.
func (l *listing) find(ctx context.Context, rows []task.Row) map[task.Ref]task.FindResult {
	byPart := map[int][]task.Ref{}
	for _, r := range rows {
		p := task.Partition(r.ID, l.s.parts)
		byPart[p] = append(byPart[p], r.Ref)
	}
	all := make(map[task.Ref]task.FindResult, len(rows))
	for p, refs := range byPart {
		if l.unknown {
			break
		}
		found, err := l.s.set.Find(ctx, p, refs)
		if l.unknown = err != nil; l.unknown && ctx.Err() == nil {
			l.s.report.Error("find tasks", err, "listed without their states")
		}
		for i, f := range found {
			all[refs[i]] = f
		}
	}
	return all
}

// pages returns the rows that match m, its headers aside, page by page: by their times, or the last of them
// first (down), or by ID if m has a prefix. Payloads that are longer than inline are left out.
func (s *Scheduler) pages(ctx context.Context, m match, down bool, inline int) iter.Seq2[[]task.Row, error] {
	return func(yield func([]task.Row, error) bool) {
		at, limit := task.Cursor{NextMS: m.fromMS}, firstPage
		switch {
		case down:
			at = task.Cursor{NextMS: m.belowMS}
		case m.prefix != "" || at.Less(m.after):
			at = m.after
		}
		for {
			rows, next, more, err := s.nextPage(ctx, m, at, down, limit, inline)
			if err != nil {
				yield(nil, err)
				return
			}
			rows = slices.DeleteFunc(rows, func(r task.Row) bool { return !m.place(r) })
			if !yield(rows, nil) || !more {
				return
			}
			at = next
			limit = min(4*limit, mostPage)
		}
	}
}

// nextPage reads the page that follows a cursor. It returns where the next one begins, and whether there may be one.
func (s *Scheduler) nextPage(ctx context.Context, m match, at task.Cursor, down bool, limit, inline int) (rows []task.Row, next task.Cursor, more bool, err error) {
	switch {
	case m.prefix != "":
		page, err := s.store.ScanIDs(ctx, m.span(), at.ID, limit, inline)
		return page.Rows, task.Cursor{ID: page.Next}, page.More, err
	case down:
		rows, err = s.store.ScanDown(ctx, at, m.fromMS, limit, inline)
	default:
		rows, err = s.store.Scan(ctx, at, m.belowMS, limit, inline)
	}
	if len(rows) > 0 {
		next = rows[len(rows)-1].Cursor()
	}
	return rows, next, len(rows) == limit, err
}

// whole calls use for each of rows, with payload and headers. It reads those that were left out as many at a time as
// fit into an answer, and drops each row after its use, so that few are held at once. Rows that are gone by then
// are left out. A use that returns false ends it.
func (s *Scheduler) whole(ctx context.Context, rows []task.Row, use func(task.Row) (bool, error)) error {
	for i := range rows {
		for rows[i].Cut() { // again, if it was replaced by a longer one meanwhile
			if err := s.fill(ctx, rows[i:]); err != nil {
				return err
			}
		}
		if rows[i].ID == "" {
			continue
		}
		if more, err := use(rows[i]); err != nil || !more {
			return err
		}
		rows[i] = task.Row{}
	}
	return nil
}

// fill reads the first of rows, and as many of the others that lack their payloads as fit into one answer with it. A row that is gone
// becomes the zero Row.
func (s *Scheduler) fill(ctx context.Context, rows []task.Row) error {
	var ids []string
	held, at := 0, map[string]int{}
	for i, r := range rows {
		if r.Cut() && (len(ids) == 0 || held+r.Size <= task.MostBytes) {
			at[r.ID], ids, held = i, append(ids, r.ID), held+r.Size
		}
	}
	found, err := s.store.Get(ctx, ids)
	if err != nil {
		return err
	}
	for _, i := range at {
		rows[i] = task.Row{}
	}
	for _, r := range found {
		rows[at[r.ID]] = r
	}
	return nil
}
