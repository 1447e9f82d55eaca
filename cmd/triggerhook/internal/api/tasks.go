package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
)

// IDIn names a task. It is exported, as all inputs that others embed, because huma passes over embedded types that are not.
type IDIn struct {
	ID string `path:"id" doc:"The id of the task, percent-encoded: a slash is %2F."` // decoded
}

type taskOut struct{ Body taskView }

type emptyOut struct{}

// patchInput is what a client changes of a task. What is left out stays.
type patchInput struct {
	Due           *time.Time         `json:"due,omitempty" doc:"The new time."`
	In            string             `json:"in,omitempty" doc:"The new time, from now on." example:"10m"`
	URL           string             `json:"url,omitempty"`
	Headers       *map[string]string `json:"headers,omitempty" doc:"The new headers, all of them; {} takes them away."`
	ContentType   string             `json:"content_type,omitempty"`
	Payload       *string            `json:"payload,omitempty"`
	PayloadBase64 []byte             `json:"payload_base64,omitempty"`
	PayloadJSON   json.RawMessage    `json:"payload_json,omitempty"`
}

type patchIn struct {
	IDIn
	Body patchInput
}

func (s *Server) taskRoutes() {
	register(s, tokens.Read, huma.Operation{OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{id}", Summary: "Show a task",
		Description: "404: there is no unfinished task of this id; it may be done, or a dead letter.", Errors: []int{404}}, s.get)
	register(s, tokens.Write, huma.Operation{OperationID: "delete-task", Method: http.MethodDelete, Path: "/v1/tasks/{id}", Summary: "Delete a task",
		Description: "204: its webhook is not sent. 409: it is deleted, but a worker had claimed it before, or may have: the one attempt under way may still happen.",
		Errors:      []int{404, 409}, DefaultStatus: http.StatusNoContent}, s.delete)
	register(s, tokens.Write, huma.Operation{OperationID: "change-task", Method: http.MethodPatch, Path: "/v1/tasks/{id}", Summary: "Reschedule a task, or change its payload, headers or URL",
		Description: "What is left out stays. A task that is being sent is sent again as it is now. Of two changes at once the last one counts. expires stays.",
		Errors:      []int{404}}, s.patch)
}

func (s *Server) get(ctx context.Context, in *IDIn) (*taskOut, error) {
	i, err := s.Scheduler.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &taskOut{showInfo(i, true)}, nil
}

func (s *Server) delete(ctx context.Context, in *IDIn) (*emptyOut, error) {
	return nil, s.Scheduler.Delete(ctx, in.ID)
}

// patch changes a task. Headers of a task are changed all at once, so a change of one of them reads the others first.
func (s *Server) patch(ctx context.Context, in *patchIn) (*taskOut, error) {
	c, err := s.change(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := s.Scheduler.Update(ctx, in.ID, c); err != nil {
		return nil, err
	}
	return s.get(ctx, &in.IDIn)
}

func (s *Server) change(ctx context.Context, in *patchIn) (c triggerhook.Change, err error) {
	b := in.Body
	if b.Due != nil || b.In != "" {
		if c.Due, err = dueOf(b.Due, b.In, time.Now()); err != nil {
			return c, err
		}
	}
	payload, contentType, err := payloadOf(b.Payload, b.PayloadBase64, b.PayloadJSON)
	if err != nil {
		return c, err
	}
	if contentType != "" {
		c.Payload = append([]byte{}, payload...) // not nil, so that an empty one takes the payload away
	}
	if b.ContentType != "" {
		contentType = b.ContentType
	}
	if b.URL == "" && b.Headers == nil && contentType == "" {
		return c, nil
	}
	c.Headers, err = s.merged(ctx, in.ID, b, contentType)
	return c, err
}

// merged are the headers of a task with those that a client changes.
func (s *Server) merged(ctx context.Context, id string, b patchInput, contentType string) (map[string]string, error) {
	i, err := s.Scheduler.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	now := show(&i.Task, false)
	if b.URL != "" {
		now.URL = b.URL
	}
	if contentType != "" {
		now.ContentType = contentType
	}
	if b.Headers != nil {
		now.Headers = *b.Headers
	}
	all, err := s.headersOf(now.URL, now.ContentType, now.Headers)
	if err != nil {
		return nil, err
	}
	for name, value := range i.Headers {
		if _, is := all[name]; !is && !sendable(name) {
			all[name] = value // of others: it stays
		}
	}
	return all, nil
}
