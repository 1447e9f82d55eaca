package api

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
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
	f := in.filter()
	var err error
	if f.After, err = placeOf(in.Cursor, in.Prefix); err != nil {
		return nil, err
	}
	all, next, err := pageOf(ctx, s, in.Limit, func(ctx context.Context) iter.Seq2[triggerhook.DeadTask, error] { return s.Scheduler.ListDead(ctx, f) })
	if err != nil {
		return nil, err
	}
	out := &deadListOut{}
	out.Body.Dead, out.Body.Next = make([]deadView, len(all)), cursorOf(next, in.Prefix)
	for i, d := range all {
		out.Body.Dead[i] = showDead(&d, in.Payloads)
	}
	return out, nil
}

func showDead(d *triggerhook.DeadTask, payloads bool) deadView {
	v := show(&d.Task, payloads)
	return deadView{v.ID, v.Due, v.Expires, v.URL, v.ContentType, v.Headers, v.Payload, v.PayloadBase64, d.Reason, d.LastError, d.Attempts, d.Created, d.Died}
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
