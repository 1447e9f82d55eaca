package api

import (
	"context"
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

// DeadFilterIn selects dead letters.
type DeadFilterIn struct {
	Prefix string    `query:"id_prefix" doc:"Dead letters whose id begins with this."`                                // DeadFilter.IDPrefix
	Reason string    `query:"reason" doc:"Dead letters whose reason begins with this: expired, attempts, discarded."` // DeadFilter.Reason
	From   time.Time `query:"died_from" doc:"Dead letters that died at this time or later."`                          // DeadFilter.DeadFrom
	Before time.Time `query:"died_before" doc:"Dead letters that died before this time."`                             // DeadFilter.DeadBefore
}

func (in DeadFilterIn) filter() triggerhook.DeadFilter {
	return triggerhook.DeadFilter{IDPrefix: in.Prefix, Reason: in.Reason, DeadFrom: in.From, DeadBefore: in.Before}
}

// page is the filter as the store reads it.
func (in DeadFilterIn) page() (f task.DeadFilter, err error) {
	for name, text := range map[string]string{"id_prefix": in.Prefix, "reason": in.Reason} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > task.MaxReason || name == "id_prefix" && len(text) > task.MaxID {
			return f, invalid("%s %.80q: want UTF-8 without NUL that is not longer than what it is compared with", name, text)
		}
	}
	return task.DeadFilter{IDPrefix: in.Prefix, Reason: in.Reason, FromMS: ms(in.From, 0), BeforeMS: ms(in.Before, 0)}, nil
}

type deadListIn struct {
	DeadFilterIn
	Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Most dead letters of the page."`
	Cursor   string `query:"cursor" doc:"The next_cursor of the page before, with the same filter."`
	Payloads bool   `query:"payloads" doc:"Shows payloads too."`
}

// deadView is a dead letter.
type deadView struct {
	ID            string            `json:"id"`
	Due           time.Time         `json:"due"`
	Expires       *time.Time        `json:"expires,omitempty"`
	URL           string            `json:"url,omitempty"`
	ContentType   string            `json:"content_type,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Payload       *string           `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty" doc:"In place of payload, if that is not UTF-8."`
	Reason        string            `json:"reason" doc:"expired, attempts, or what begins with discarded."`
	LastError     string            `json:"last_error,omitempty"`
	Attempts      int               `json:"attempts" doc:"How many attempts failed."`
	Created       time.Time         `json:"created"`
	Died          time.Time         `json:"died"`
}

type deadListOut struct {
	Body struct {
		Dead []deadView `json:"dead"`
		Next string     `json:"next_cursor,omitempty" doc:"Where the next page begins; missing on the last page."`
	}
}

type requeueIn struct {
	IDIn
	Body *struct {
		Due *time.Time `json:"due,omitempty" doc:"When it is due; left out: now."`
		In  string     `json:"in,omitempty" doc:"When it is due, from now on." example:"10m"`
	}
}

type requeueManyIn struct {
	DeadFilterIn
	All  bool `query:"all" doc:"Allows that no filter is given: all dead letters are meant."`
	Body *struct {
		Due  *time.Time `json:"due,omitempty" doc:"When the first of them is due; left out: now."`
		In   string     `json:"in,omitempty" doc:"When the first of them is due, from now on." example:"10m"`
		Rate float64    `json:"rate,omitempty" minimum:"0" doc:"How many of them fall due in a second; 0: all at once."`
	}
}

type countOut struct {
	Body struct {
		Count int `json:"count" doc:"How many dead letters it was done with."`
	}
}

func (s *Server) deadRoutes() {
	register(s, tokens.Read, huma.Operation{OperationID: "list-dead", Method: http.MethodGet, Path: "/v1/dead", Summary: "List dead letters",
		Description: "In the order in which they died; with id_prefix by id. Pages are as those of GET /v1/tasks."}, s.listDead)
	register(s, tokens.Operate, huma.Operation{OperationID: "purge-dead", Method: http.MethodDelete, Path: "/v1/dead", Summary: "Delete all dead letters of a filter, for good",
		Description: "A filter must be given: died_before with the present time means all of them."}, s.purgeDead)
	register(s, tokens.Operate, huma.Operation{OperationID: "requeue-dead", Method: http.MethodPost, Path: "/v1/dead:requeue", Summary: "Make tasks of all dead letters of a filter",
		Description: "After 503 a part of them may be tasks: the same request goes on. 409: all are tasks, besides those whose ids other tasks have.", Errors: []int{409}}, s.requeueMany)
	register(s, tokens.Operate, huma.Operation{OperationID: "requeue-one", Method: http.MethodPost, Path: "/v1/dead/{id}/requeue", Summary: "Make a task of a dead letter again",
		DefaultStatus: http.StatusNoContent, Errors: []int{404, 409}}, s.requeueOne)
}

// listDead reads one page of dead letters.
func (s *Server) listDead(ctx context.Context, in *deadListIn) (*deadListOut, error) {
	f, err := in.page()
	if err != nil {
		return nil, err
	}
	var at task.DeadCursor
	if in.Cursor != "" {
		if err := decodeCursor(in.Cursor, &at); err != nil || at.ID == "" {
			return nil, invalid("cursor %.40q: want the next_cursor of a page with the same filter", in.Cursor)
		}
	}
	out := &deadListOut{}
	out.Body.Dead = []deadView{}
	page := task.DeadPage{More: true, Next: at}
	for page.More && len(out.Body.Dead) < in.Limit && ctx.Err() == nil {
		if page, err = s.Store.Dead(ctx, f, page.Next, in.Limit-len(out.Body.Dead)); err != nil {
			return nil, err
		}
		for _, d := range page.Dead {
			one, err := showDead(d, in.Payloads)
			if err != nil {
				return nil, err
			}
			out.Body.Dead = append(out.Body.Dead, one)
		}
	}
	if page.More {
		out.Body.Next, err = encodeCursor(page.Next)
	}
	return out, err
}

func showDead(d task.Dead, payloads bool) (deadView, error) {
	headers, err := task.DecodeHeaders(d.Headers)
	if err != nil {
		return deadView{}, fmt.Errorf("dead letter %q: %w", d.ID, err)
	}
	t := triggerhook.Task{ID: d.ID, Due: time.UnixMilli(d.DueMS), Payload: d.Payload, Headers: headers, Expires: task.Expiry(d.ExpiresMS)}
	v := show(&t, payloads)
	return deadView{v.ID, v.Due, v.Expires, v.URL, v.ContentType, v.Headers, v.Payload, v.PayloadBase64,
		d.Reason, d.LastError, d.Attempt, time.UnixMilli(d.CreatedMS).UTC(), time.UnixMilli(d.DeadMS).UTC()}, nil
}

func (s *Server) purgeDead(ctx context.Context, in *DeadFilterIn) (*countOut, error) {
	out := &countOut{}
	var err error
	out.Body.Count, err = s.Scheduler.PurgeDead(ctx, in.filter())
	return out, err
}

func (s *Server) requeueOne(ctx context.Context, in *requeueIn) (*emptyOut, error) {
	var due time.Time
	if b := in.Body; b != nil && (b.Due != nil || b.In != "") {
		var err error
		if due, err = dueOf(b.Due, b.In, time.Now()); err != nil {
			return nil, err
		}
	}
	return nil, s.Scheduler.Requeue(ctx, in.ID, due)
}

func (s *Server) requeueMany(ctx context.Context, in *requeueManyIn) (*countOut, error) {
	f, o := in.filter(), triggerhook.RequeueOptions{}
	if f == (triggerhook.DeadFilter{}) && !in.All {
		return nil, invalid("give a filter (id_prefix, reason, died_from, died_before), or all=true")
	}
	if b := in.Body; b != nil {
		o.Rate = b.Rate
		if b.Due != nil || b.In != "" {
			var err error
			if o.Due, err = dueOf(b.Due, b.In, time.Now()); err != nil {
				return nil, err
			}
		}
	}
	out := &countOut{}
	var err error
	out.Body.Count, err = s.Scheduler.RequeueDead(ctx, f, o)
	return out, err
}
