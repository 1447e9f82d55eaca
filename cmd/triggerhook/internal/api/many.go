package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
	"github.com/triggerhook/triggerhook/task"
)

// FilterIn selects tasks.
type FilterIn struct {
	Prefix string    `query:"id_prefix" doc:"Tasks whose id begins with this."`                                  // Filter.IDPrefix
	From   time.Time `query:"due_from" doc:"Tasks that are next sent at this time or later."`                    // Filter.DueFrom
	Before time.Time `query:"due_before" doc:"Tasks that are next sent before this time."`                       // Filter.DueBefore
	Header []string  `query:"header,explode" doc:"Tasks that have this header, as NAME=VALUE; may be repeated."` // Filter.Headers
}

// filter is what in selects.
func (in FilterIn) filter() (triggerhook.Filter, error) {
	f := triggerhook.Filter{IDPrefix: in.Prefix, DueFrom: in.From, DueBefore: in.Before}
	if !utf8.ValidString(in.Prefix) || strings.ContainsRune(in.Prefix, 0) || len(in.Prefix) > task.MaxID {
		return f, invalid("id_prefix %.80q: want at most %d bytes of UTF-8 without NUL", in.Prefix, task.MaxID)
	}
	for _, text := range in.Header {
		name, value, is := strings.Cut(text, "=")
		if !is || name == "" {
			return f, invalid("header %.80q: want NAME=VALUE", text)
		}
		if f.Headers == nil {
			f.Headers = map[string]string{}
		}
		f.Headers[strings.ToLower(name)] = value
	}
	return f, nil
}

// ManyIn selects tasks to change.
type ManyIn struct {
	FilterIn
	All    bool `query:"all" doc:"Allows that nothing else is given: all tasks of the namespace are meant."` // WhereOptions.All
	DryRun bool `query:"dry_run" doc:"Changes nothing, and counts what matches."`                            // WhereOptions.DryRun
}

type moveIn struct {
	ManyIn
	Body struct {
		Due *time.Time `json:"due,omitempty" doc:"The new time of all."`
		In  string     `json:"in,omitempty" doc:"The new time of all, from now on." example:"10m"`
		By  string     `json:"by,omitempty" doc:"Each later by this, or earlier if it is negative." example:"-1h"`
	}
}

// manyResult is what became of the tasks that a filter selects.
type manyResult struct {
	Matched int  `json:"matched"`
	Changed int  `json:"changed"`
	Claimed int  `json:"claimed" doc:"Of the deleted ones, those that a worker had claimed before, or may have: one attempt may still happen."`
	Refused int  `json:"refused" doc:"Those that stay, because their new time breaks a rule: it is later than their expires, before 1970 or after 9999."`
	DryRun  bool `json:"dry_run"`
}

type manyOut struct{ Body manyResult }

func (s *Server) manyRoutes() {
	register(s, tokens.Read, huma.Operation{OperationID: "list-tasks", Method: http.MethodGet, Path: "/v1/tasks", Summary: "List tasks",
		Description: "By the time at which they are next sent; with id_prefix by id. A page ends with next_cursor, with which the next one begins; a page without it is the last. " +
			"A page may have fewer tasks than limit, and a next_cursor nevertheless. 422: a filter that matches few found none in time."}, s.list)
	register(s, tokens.Write, huma.Operation{OperationID: "delete-tasks", Method: http.MethodDelete, Path: "/v1/tasks", Summary: "Delete all tasks of a filter",
		Description: "After 503 a part of them may be deleted: the same request goes on."}, s.deleteMany)
	register(s, tokens.Write, huma.Operation{OperationID: "move-tasks", Method: http.MethodPatch, Path: "/v1/tasks", Summary: "Reschedule all tasks of a filter",
		Description: "Give one of due, in and by. After 503 a part of them may be moved. The same request with due goes on from there; one with by moves those again that still match."}, s.moveMany)
}

func (s *Server) deleteMany(ctx context.Context, in *ManyIn) (*manyOut, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	r, err := s.Scheduler.DeleteWhere(ctx, f, triggerhook.WhereOptions{All: in.All, DryRun: in.DryRun})
	return s.many(ctx, r, in.DryRun, err)
}

func (s *Server) moveMany(ctx context.Context, in *moveIn) (*manyOut, error) {
	f, err := in.filter()
	if err != nil {
		return nil, err
	}
	shift, err := in.shift()
	if err != nil {
		return nil, err
	}
	r, err := s.Scheduler.RescheduleWhere(ctx, f, shift, triggerhook.WhereOptions{All: in.All, DryRun: in.DryRun})
	if r.Refused > 0 && errors.Is(err, triggerhook.ErrInvalid) {
		err = nil // the count says it
	}
	return s.many(ctx, r, in.DryRun, err)
}

func (in *moveIn) shift() (to triggerhook.Shift, err error) {
	b := in.Body
	if b.By == "" {
		to.To, err = dueOf(b.Due, b.In, time.Now())
		return to, err
	}
	if b.Due != nil || b.In != "" {
		return to, invalid("give one of due, in and by")
	}
	if to.By, err = time.ParseDuration(b.By); err != nil || to.By == 0 {
		return to, invalid("by %.40q: want a duration that is not 0, as 1h or -90s", b.By)
	}
	return to, nil
}

// many is a result, or an error that says how far the call came.
func (s *Server) many(ctx context.Context, r triggerhook.WhereResult, dryRun bool, err error) (*manyOut, error) {
	if err == nil {
		return &manyOut{manyResult{r.Matched, r.Changed, r.Claimed, r.Refused, dryRun}}, nil
	}
	if r.Matched == 0 {
		return nil, err
	}
	var p *huma.ErrorModel
	problem := s.problem(ctx, err)
	if errors.As(problem, &p) {
		p.Detail = fmt.Sprintf("%d were changed before an error: %s", r.Changed, p.Detail)
	}
	return nil, problem
}
