package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
)

const (
	mostKey = 255 // bytes of an Idempotency-Key
	// createTries is how often a task that came to its end in between is created anew.
	createTries = 3
)

type createIn struct {
	Key  string `header:"Idempotency-Key" doc:"In place of an id: the same key of the same token is the same task. 1 to 255 bytes."`
	Body taskInput
}

type createOut struct {
	Status   int
	Location string `header:"Location" doc:"The path of the task."`
	Body     outcome
}

type batchIn struct {
	Key         string `header:"Idempotency-Key" doc:"In place of ids, as with one task: it stands for all tasks of the batch, which have no ids then."`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/json"`
}

// batchResult is what became of a task of a batch.
type batchResult struct {
	Outcome *outcome         `json:"task,omitempty"`
	Status  int              `json:"status" doc:"The status that a request with this task alone would have had."`
	Problem *huma.ErrorModel `json:"problem,omitempty" doc:"Why it was not created."`
}

type batchOut struct {
	Body struct {
		Results []batchResult `json:"results" doc:"One for each task, in their order."`
		Failed  int           `json:"failed" doc:"How many of them have a problem."`
	}
}

func (s *Server) createRoutes() {
	register(s, tokens.Write, huma.Operation{OperationID: "create-task", Method: http.MethodPost, Path: "/v1/tasks", DefaultStatus: http.StatusCreated,
		Summary: "Create a task", Errors: []int{409},
		Description: "201: it is stored, and its webhook is sent at least once, whatever crashes. 200: see outcome. 409: another task of this id is unfinished. 422: " +
			"the input breaks a rule, or the Idempotency-Key was used for another task. After 503 the same request may be repeated."}, s.create)
	created := s.api.OpenAPI().Paths["/v1/tasks"].Post
	created.Responses["200"] = created.Responses["201"]
	batch := huma.Operation{SkipValidateBody: true, OperationID: "create-tasks", Method: http.MethodPost, Path: "/v1/tasks:batch", Summary: "Create many tasks", Description: "The body is a JSON array of tasks, or NDJSON with a task a line (application/x-ndjson), each as " +
		"in POST /v1/tasks. Each task has a result of its own: one that is wrong keeps no other one from being created."}
	// huma takes a raw body for a string, so createBatch itself looks at it, and the document is told what it is.
	s.bodies["POST /v1/tasks:batch"] = s.Limits.BatchBody
	register(s, tokens.Write, batch, s.createBatch)
	item := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[taskInput](), true, "")
	s.api.OpenAPI().Paths["/v1/tasks:batch"].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json":     {Schema: &huma.Schema{Type: huma.TypeArray, Items: item}},
		"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString, Description: "A task a line, as JSON."}},
	}}
}

// create stores one task.
func (s *Server) create(ctx context.Context, in *createIn) (*createOut, error) {
	if err := useKey(ctx, &in.Body, in.Key, 0); err != nil {
		return nil, err
	}
	t, on, err := s.task(&in.Body, time.Now())
	if err != nil {
		return nil, err
	}
	results := s.store(ctx, on, in.Key != "", []*triggerhook.Task{t})
	if err := results[0].err; err != nil {
		return nil, err
	}
	o := results[0].outcome
	out := &createOut{Status: http.StatusOK, Location: "/v1/tasks/" + url.PathEscape(o.ID), Body: o}
	if o.Outcome == triggerhook.Created.String() {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// useKey gives the task of an Idempotency-Key its id: it depends on the token's name, the key and the place in a batch alone. So no store of
// keys is needed, and the receiver of a webhook that is sent again sees the same id.
func useKey(ctx context.Context, in *taskInput, key string, place int) error {
	switch {
	case key == "":
		return nil
	case len(key) > mostKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return invalid("Idempotency-Key: want 1 to %d visible ASCII characters", mostKey)
	case in.ID != "":
		return invalid("give an id or an Idempotency-Key, one of both")
	case in.OnConflict != "" && in.OnConflict != "fail":
		return invalid("on_conflict is for tasks with an id; with an Idempotency-Key leave it out")
	}
	sum := sha256.Sum256([]byte(tokenName(ctx) + "\x00" + key + "\x00" + strconv.Itoa(place)))
	in.ID = "key-" + base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

// stored is what became of a task.
type stored struct {
	outcome outcome
	err     error
}

// store stores tasks in one transaction, and tells for each what became of it. With on 0 a task of that id is a conflict, unless
// the same request created it.
func (s *Server) store(ctx context.Context, on triggerhook.OnConflict, keyed bool, tasks []*triggerhook.Task) []stored {
	results := make([]stored, len(tasks))
	how := on
	if on == 0 {
		how = triggerhook.Keep
	}
	outcomes, err := s.Scheduler.Upsert(ctx, how, tasks...)
	if len(outcomes) != len(tasks) && err == nil {
		err = fmt.Errorf("upsert told %d outcomes of %d tasks", len(outcomes), len(tasks))
	}
	for i, t := range tasks {
		if results[i].err = err; err != nil {
			continue
		}
		results[i].outcome = outcome{t.ID, t.Due, outcomes[i].String()}
		if on == 0 && outcomes[i] == triggerhook.Kept {
			results[i] = s.kept(ctx, keyed, t)
		}
	}
	return results
}

// kept tells whether the task that is stored under the id of t comes from the same request as t. If it was done in between,
// t is created: it is a new task, of an id that is free.
func (s *Server) kept(ctx context.Context, keyed bool, t *triggerhook.Task) stored {
	for range createTries {
		there, err := s.Scheduler.Get(ctx, t.ID)
		if err == nil {
			return same(there, keyed, t)
		}
		if !errors.Is(err, triggerhook.ErrNotFound) {
			return stored{err: err}
		}
		outcomes, err := s.Scheduler.Upsert(ctx, triggerhook.Keep, t)
		if err != nil {
			return stored{err: err}
		}
		if outcomes[0] == triggerhook.Created {
			return stored{outcome: outcome{t.ID, t.Due, outcomes[0].String()}}
		}
	}
	return stored{err: fmt.Errorf("%w: task %q comes and goes", triggerhook.ErrUnavailable, t.ID)}
}

// same compares a request with the one that created the task.
func same(there triggerhook.Info, keyed bool, t *triggerhook.Task) stored {
	switch {
	case there.Headers[headerRequest] == t.Headers[headerRequest]:
		return stored{outcome: outcome{t.ID, there.Due, triggerhook.Kept.String()}}
	case keyed:
		return stored{err: kind{name: "key-reused", status: http.StatusUnprocessableEntity}.with("the Idempotency-Key was used for another task, which is unfinished: nothing was changed")}
	}
	return stored{err: kind{name: "exists", status: http.StatusConflict}.with(fmt.Sprintf("another task of the id %q is unfinished: nothing was changed; on_conflict says what else may become of it", t.ID))}
}

// createBatch stores many tasks.
func (s *Server) createBatch(ctx context.Context, in *batchIn) (*batchOut, error) {
	items, err := s.items(in)
	if err != nil {
		return nil, err
	}
	results := make([]stored, len(items))
	groups := map[triggerhook.OnConflict][]int{} // of one way to meet a conflict: one transaction
	tasks, seen, now := make([]*triggerhook.Task, len(items)), map[string]bool{}, time.Now()
	for i, item := range items {
		t, on, err := s.item(ctx, item, in.Key, i, now)
		if err == nil && t.ID != "" && seen[t.ID] {
			err = invalid("the id %q is in this batch before", t.ID)
		}
		if results[i].err = err; err == nil {
			seen[t.ID], tasks[i], groups[on] = true, t, append(groups[on], i)
		}
	}
	for on, places := range groups {
		s.storeGroup(ctx, on, in.Key != "", places, tasks, results)
	}
	out := &batchOut{}
	for _, r := range results {
		one := s.batchResult(ctx, r)
		out.Body.Results = append(out.Body.Results, one)
		if one.Problem != nil {
			out.Body.Failed++
		}
	}
	return out, nil
}

// storeGroup stores the tasks at those places. If one of them breaks a rule that only the library knows, nothing of the group is stored, and
// each is stored alone, so that it keeps back no other one.
func (s *Server) storeGroup(ctx context.Context, on triggerhook.OnConflict, keyed bool, places []int, tasks []*triggerhook.Task, results []stored) {
	group := make([]*triggerhook.Task, len(places))
	for i, place := range places {
		group[i] = tasks[place]
	}
	all := s.store(ctx, on, keyed, group)
	for i, place := range places {
		results[place] = all[i]
		if len(group) > 1 && errors.Is(all[i].err, triggerhook.ErrInvalid) {
			results[place] = s.store(ctx, on, keyed, group[i:i+1])[0]
		}
	}
}

// items are the tasks of a batch, each still in JSON.
func (s *Server) items(in *batchIn) (items []json.RawMessage, err error) {
	media, _, err := mime.ParseMediaType(in.ContentType)
	switch {
	case err == nil && media == "application/json":
		if err := json.Unmarshal(in.RawBody, &items); err != nil {
			return nil, kind{name: "invalid", status: http.StatusBadRequest}.with("the body is no JSON array: " + err.Error())
		}
	case err == nil && (media == "application/x-ndjson" || media == "application/jsonl"):
		for line := range bytes.Lines(in.RawBody) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				items = append(items, line)
			}
		}
	default:
		return nil, kind{name: "media-type", status: http.StatusUnsupportedMediaType}.with(fmt.Sprintf("Content-Type %.80q: want application/json or application/x-ndjson", in.ContentType))
	}
	if len(items) == 0 || len(items) > s.Limits.Batch {
		return nil, invalid("%d tasks: a batch has 1 to %d", len(items), s.Limits.Batch)
	}
	return items, nil
}

// item is one task of a batch.
func (s *Server) item(ctx context.Context, text json.RawMessage, key string, place int, now time.Time) (*triggerhook.Task, triggerhook.OnConflict, error) {
	var in taskInput
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, 0, invalid("task %d of the batch: %v", place+1, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, 0, invalid("task %d of the batch: there is more than one JSON value", place+1)
	}
	if err := useKey(ctx, &in, key, place); err != nil {
		return nil, 0, err
	}
	return s.task(&in, now)
}

// batchResult is what a client is told of one task of a batch.
func (s *Server) batchResult(ctx context.Context, r stored) batchResult {
	if r.err == nil {
		status := http.StatusOK
		if r.outcome.Outcome == triggerhook.Created.String() {
			status = http.StatusCreated
		}
		return batchResult{Outcome: &r.outcome, Status: status}
	}
	var p *huma.ErrorModel
	if !errors.As(s.problem(ctx, r.err), &p) {
		p = &huma.ErrorModel{Type: "urn:triggerhook:internal", Status: http.StatusInternalServerError, Detail: "the server failed; its log says why"}
	}
	return batchResult{Status: p.Status, Problem: p}
}
