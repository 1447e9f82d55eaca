package api

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/triggerhook/triggerhook"
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

// list reads one page of tasks.
func (s *Server) list(ctx context.Context, in *listIn) (*listOut, error) {
	f, err := in.filter()
	if err == nil {
		f.After, err = placeOf(in.Cursor, in.Prefix)
	}
	if err != nil {
		return nil, err
	}
	all, next, err := pageOf(ctx, s, in.Limit, func(ctx context.Context) iter.Seq2[triggerhook.Info, error] { return s.Scheduler.List(ctx, f) })
	if err != nil {
		return nil, err
	}
	out := &listOut{}
	out.Body.Tasks, out.Body.Next = make([]taskView, len(all)), cursorOf(next, in.Prefix)
	for i, info := range all {
		out.Body.Tasks[i] = showInfo(info, in.Payloads)
	}
	return out, nil
}

// pageOf reads the first of a list, at most limit. next is where the next page begins; empty: this is the last one. A filter that matches few
// may take long: then the page has what was found in half the time of a request.
func pageOf[T interface{ Cursor() string }](ctx context.Context, s *Server, limit int, read func(context.Context) iter.Seq2[T, error]) (all []T, next string, err error) {
	bounded, cancel := context.WithTimeout(ctx, s.Limits.Request/2)
	defer cancel()
	for one, err := range read(bounded) {
		over := errors.Is(err, context.DeadlineExceeded) && bounded.Err() != nil && ctx.Err() == nil
		switch {
		case err == nil && len(all) < limit:
			all, next = append(all, one), one.Cursor()
		case err == nil, over && len(all) > 0: // there is more, or may be
			return all, next, nil
		case over:
			return nil, "", invalid("nothing that matches was found within %s: narrow the filter", s.Limits.Request/2)
		default:
			return nil, "", err
		}
	}
	return all, "", nil
}

// A cursor of a client begins with the order of its list, because the same place has another neighbour in the other order.
const (
	byTime = "time."
	byID   = "id."
)

func orderOf(prefix string) string {
	if prefix != "" {
		return byID
	}
	return byTime
}

// cursorOf is a place in a list, as a client gets it.
func cursorOf(place, prefix string) string {
	if place == "" {
		return ""
	}
	return orderOf(prefix) + place
}

// placeOf is the place of a client's cursor, for a list with that prefix.
func placeOf(cursor, prefix string) (string, error) {
	place, is := strings.CutPrefix(cursor, orderOf(prefix))
	if cursor != "" && (!is || place == "") {
		return "", invalid("cursor %.40q: want the next_cursor of a page with the same filter", cursor)
	}
	return place, nil
}
