package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// mostScanned is how many rows are read for one page of a list at most: a filter of headers may match few.
	mostScanned = 5000
	// scanInline is the longest payload, with headers, that a scan reads.
	scanInline = 1024
	// getters is how many tasks of a page are read at a time.
	getters = 8
)

type listIn struct {
	FilterIn
	Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most tasks of the page."`
	Cursor   string `query:"cursor" doc:"The next_cursor of the page before, with the same filter."`
	Payloads bool   `query:"payloads" doc:"Shows payloads too."`
}

type listOut struct {
	Body struct {
		Tasks []taskView `json:"tasks"`
		Next  string     `json:"next_cursor,omitempty" doc:"Where the next page begins; missing on the last page."`
	}
}

// page is one page of a list while it is read. It lies after a place in the store's own order, so that it costs the same wherever
// it is (keyset paging). One goroutine owns it.
type page struct {
	s        *Server
	f        triggerhook.Filter
	from     int64 // unix milliseconds of Filter.DueFrom
	before   int64 // of Filter.DueBefore, or beyond all times
	at       task.Cursor
	scanned  int
	finished bool // the store has no more rows
}

// list reads the keys of one page from the store, and then what is known of each task.
func (s *Server) list(ctx context.Context, in *listIn) (*listOut, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	p := &page{s: s, f: f, from: ms(f.DueFrom, 0), before: ms(f.DueBefore, task.MaxDue+1)}
	if p.at, err = p.begin(in.Cursor); err != nil {
		return nil, err
	}
	ids, err := p.ids(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listOut{}
	if out.Body.Tasks, err = s.show(ctx, ids, in.Payloads); err != nil {
		return nil, err
	}
	if !p.finished {
		out.Body.Next, err = encodeCursor(cursor{p.order(), p.at.NextMS, p.at.ID})
	}
	return out, err
}

// ms is t in unix milliseconds, rounded up as the library does it.
func ms(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}

// order is by which order the page goes: a cursor of the other one means another place.
func (p *page) order() string {
	if p.f.IDPrefix != "" {
		return "id"
	}
	return "time"
}

// begin is the place after which the page begins.
func (p *page) begin(text string) (task.Cursor, error) {
	if text == "" {
		return task.Cursor{NextMS: p.from}, nil
	}
	var c cursor
	if err := decodeCursor(text, &c); err != nil || c.Order != p.order() || c.NextMS < 0 || c.ID == "" {
		return task.Cursor{}, invalid("cursor %.40q: want the next_cursor of a page with the same filter", text)
	}
	return task.Cursor{NextMS: c.NextMS, ID: c.ID}, nil // matches looks at DueFrom again
}

// ids are the ids of the page.
func (p *page) ids(ctx context.Context, limit int) (ids []string, err error) {
	for len(ids) < limit && p.scanned < mostScanned && !p.finished {
		rows, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		for i, r := range rows {
			match, err := p.matches(ctx, r)
			if err != nil {
				return nil, err
			}
			if p.at = r.Cursor(); !match {
				continue
			}
			if ids = append(ids, r.ID); len(ids) == limit {
				p.finished = p.finished && i == len(rows)-1
				break
			}
		}
	}
	return ids, nil
}

// read reads the rows after the place.
func (p *page) read(ctx context.Context) (rows []task.Row, err error) {
	if p.f.IDPrefix != "" {
		rows, err = p.s.Store.ScanIDs(ctx, p.f.IDPrefix, p.at.ID, p.s.scanPage, scanInline)
	} else {
		rows, err = p.s.Store.Scan(ctx, p.at, p.before, p.s.scanPage, scanInline)
	}
	p.scanned += len(rows)
	p.finished = len(rows) < p.s.scanPage
	return rows, err
}

// matches reports whether the filter means a row.
func (p *page) matches(ctx context.Context, r task.Row) (bool, error) {
	if r.NextMS < p.from || r.NextMS >= p.before {
		return false, nil
	}
	if len(p.f.Headers) == 0 {
		return true, nil
	}
	headers, err := p.headers(ctx, r)
	for name, value := range p.f.Headers {
		if got, is := headers[name]; !is || got != value {
			return false, err
		}
	}
	return true, err
}

// headers are those of a row. Those that the scan left out are read, and a task that is gone by then has none.
func (p *page) headers(ctx context.Context, r task.Row) (map[string]string, error) {
	if !r.Cut() {
		return task.DecodeHeaders(r.Headers)
	}
	i, err := p.s.Scheduler.Get(ctx, r.ID)
	if errors.Is(err, triggerhook.ErrNotFound) {
		return nil, nil
	}
	return i.Headers, err
}

// show is what is known of tasks. Those that are gone by now are left out.
func (s *Server) show(ctx context.Context, ids []string, payloads bool) ([]taskView, error) {
	found := make([]*taskView, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(getters)
	for i, id := range ids {
		g.Go(func() error {
			info, err := s.Scheduler.Get(ctx, id)
			if errors.Is(err, triggerhook.ErrNotFound) {
				return nil
			}
			if err == nil {
				t := showInfo(info, payloads)
				found[i] = &t
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	tasks := []taskView{}
	for _, t := range found {
		if t != nil {
			tasks = append(tasks, *t)
		}
	}
	return tasks, nil
}

// cursor is a place in a list, as a client hands it back.
type cursor struct {
	Order  string `json:"o"`
	NextMS int64  `json:"t,omitempty"`
	ID     string `json:"i"`
}

func encodeCursor(c any) (string, error) {
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text), err
}

func decodeCursor(text string, c any) error {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, c)
}
