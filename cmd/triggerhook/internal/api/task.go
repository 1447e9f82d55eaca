package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
)

// headerRequest is a header of a task that has what the request that created it said, as a hash: a repeated request is recognized by it. It is not sent.
const headerRequest = "serve-request"

// taskInput is a task as a client describes it.
type taskInput struct {
	ID            string            `json:"id,omitempty" doc:"1 to 128 bytes; the server makes one if it is left out"`
	Due           *time.Time        `json:"due,omitempty" doc:"When the webhook is to be sent; a time in the past is now. Give due or in."`
	In            string            `json:"in,omitempty" doc:"How long from now until the webhook is to be sent." example:"1h30m"`
	Expires       *time.Time        `json:"expires,omitempty" doc:"After this time it is not sent any more, and becomes a dead letter."`
	URL           string            `json:"url" doc:"Where the webhook is sent to, by POST." example:"https://example.com/hooks/reminder"`
	Headers       map[string]string `json:"headers,omitempty" doc:"HTTP headers of the webhook: names that begin with x-, traceparent and tracestate."`
	ContentType   string            `json:"content_type,omitempty" doc:"Media type of the payload. Default: text/plain, application/octet-stream (payload_base64) or application/json (payload_json)."`
	Payload       *string           `json:"payload,omitempty" doc:"The body of the webhook, as text."`
	PayloadBase64 []byte            `json:"payload_base64,omitempty" doc:"The body of the webhook, as base64."`
	PayloadJSON   json.RawMessage   `json:"payload_json,omitempty" doc:"The body of the webhook, as JSON."`
	OnConflict    string            `json:"on_conflict,omitempty" enum:"fail,keep,replace,earliest,debounce" doc:"What becomes of an unfinished task of this id. fail (the default): 409, or 200 with outcome kept if it was created by the same request. keep: it stays. replace: payload and headers become the new ones. earliest: it is due at the earlier of both times. debounce: all becomes new, also the time."`
}

// outcome is what became of a request to create a task.
type outcome struct {
	ID      string    `json:"id"`
	Due     time.Time `json:"due" doc:"When it is due. After on_conflict keep, replace or earliest the stored task may have another time than this, which the request asked for."`
	Outcome string    `json:"outcome" enum:"created,kept,replaced"`
}

// taskView is a task as the API shows it.
type taskView struct {
	ID            string            `json:"id"`
	Due           time.Time         `json:"due"`
	Expires       *time.Time        `json:"expires,omitempty"`
	State         string            `json:"state,omitempty" enum:"unknown,scheduled,preloaded,in flight" doc:"Where it is in its life."`
	Attempt       int               `json:"attempt,omitempty" doc:"Number of the next attempt, or of the one under way: 1 at first."`
	Next          *time.Time        `json:"next,omitempty" doc:"When it is next sent; missing while it is being sent."`
	URL           string            `json:"url,omitempty" doc:"Missing if it was not created by this API."`
	ContentType   string            `json:"content_type,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	Payload       *string           `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty" doc:"In place of payload, if that is not UTF-8."`
}

// task is what in describes, and what is to become of one that exists: 0 if that is an error.
func (s *Server) task(in *taskInput, now time.Time) (t *triggerhook.Task, on triggerhook.OnConflict, err error) {
	if in.ID == "." || in.ID == ".." || in.ID == "/" { // net/http's mux has no match for the segment %2F
		return nil, 0, invalid("id %q: a path cannot name it, because clients, proxies and servers take it for a folder", in.ID)
	}
	t = &triggerhook.Task{ID: in.ID}
	if t.Due, err = dueOf(in.Due, in.In, now); err != nil {
		return nil, 0, err
	}
	if in.Expires != nil {
		t.Expires = *in.Expires
	}
	payload, contentType, err := payloadOf(in.Payload, in.PayloadBase64, in.PayloadJSON)
	if err != nil {
		return nil, 0, err
	}
	t.Payload = payload
	if in.ContentType != "" {
		contentType = in.ContentType
	}
	if t.Headers, err = s.headersOf(in.URL, contentType, in.Headers); err != nil {
		return nil, 0, err
	}
	if on, err = conflictOf(in.OnConflict); err == nil && on == 0 {
		t.Headers[headerRequest], err = in.hash()
	}
	return t, on, err
}

// dueOf is the time that a client means.
func dueOf(due *time.Time, in string, now time.Time) (time.Time, error) {
	switch {
	case (due == nil) == (in == ""):
		return time.Time{}, invalid("give due or in, one of both")
	case due != nil:
		return *due, nil
	}
	d, err := time.ParseDuration(in)
	if err != nil || d < 0 {
		return time.Time{}, invalid("in %.40q: want a duration that is not negative, as 90s or 1h30m", in)
	}
	return now.Add(d), nil
}

// payloadOf is the payload of at most one of three forms, and its media type. It is nil if there is none of them.
func payloadOf(text *string, raw []byte, structured json.RawMessage) (payload []byte, contentType string, err error) {
	forms := 0
	if text != nil {
		payload, contentType, forms = []byte(*text), "text/plain; charset=utf-8", forms+1
	}
	if raw != nil {
		payload, contentType, forms = raw, "application/octet-stream", forms+1
	}
	if structured != nil {
		payload, contentType, forms = structured, "application/json", forms+1
	}
	if forms > 1 {
		return nil, "", invalid("give one of payload, payload_base64 and payload_json")
	}
	return payload, contentType, nil
}

// headersOf are the headers of a task. The sender of webhooks has the rules about URL, names and values.
func (s *Server) headersOf(url, contentType string, headers map[string]string) (map[string]string, error) {
	all := map[string]string{webhook.HeaderURL: url}
	if contentType != "" {
		all[webhook.HeaderContentType] = contentType
	}
	for name, value := range headers {
		lower := strings.ToLower(name)
		if !sendable(lower) {
			return nil, invalid("header %.80q: a webhook has headers whose names begin with x-, traceparent and tracestate", name)
		}
		if _, twice := all[lower]; twice {
			return nil, invalid("header %.80q is given twice", name)
		}
		all[lower] = value
	}
	if err := s.Targets.CheckTarget(url); err != nil {
		return nil, invalid("url: %v%s", err, hint(err))
	}
	if err := s.Targets.CheckHeaders(all); err != nil {
		return nil, invalid("%v", err)
	}
	return all, nil
}

// hint tells how an address is allowed that is refused. It is for the owner of the server, who often is the first client too.
func hint(err error) string {
	if errors.As(err, new(*webhook.RefusedError)) {
		return " (the flags --webhook-... of the server say what is allowed; --webhook-allow-private allows loopback and private addresses)"
	}
	return ""
}

// sendable reports whether a header of a task, with its name in lower case, is for its webhook.
func sendable(name string) bool {
	return name == "traceparent" || name == "tracestate" || strings.HasPrefix(name, webhook.HeaderPrefix)
}

// conflictOf is 0 for fail.
func conflictOf(text string) (triggerhook.OnConflict, error) {
	if text == "" || text == "fail" {
		return 0, nil
	}
	for _, on := range []triggerhook.OnConflict{triggerhook.Keep, triggerhook.Replace, triggerhook.Earliest, triggerhook.Debounce} {
		if on.String() == text {
			return on, nil
		}
	}
	return 0, invalid("on_conflict %.40q: want fail, keep, replace, earliest or debounce", text)
}

// hash tells requests apart. The same fields in another order, or with other white space, are the same request.
func (in taskInput) hash() (string, error) {
	if in.PayloadJSON != nil {
		var compact bytes.Buffer
		if err := json.Compact(&compact, in.PayloadJSON); err != nil {
			return "", invalid("payload_json: %v", err)
		}
		in.PayloadJSON = compact.Bytes()
	}
	text, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("hash a request: %w", err)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

// show is a task for a client. Headers that are not for webhooks are left out.
func show(t *triggerhook.Task, payloads bool) taskView {
	out := taskView{ID: t.ID, Due: t.Due.UTC(), Expires: instant(t.Expires), URL: t.Headers[webhook.HeaderURL], ContentType: t.Headers[webhook.HeaderContentType]}
	for name, value := range t.Headers {
		if sendable(name) {
			if out.Headers == nil {
				out.Headers = map[string]string{}
			}
			out.Headers[name] = value
		}
	}
	if payloads && utf8.Valid(t.Payload) {
		text := string(t.Payload)
		out.Payload = &text
	} else if payloads {
		out.PayloadBase64 = t.Payload
	}
	return out
}

// showInfo is what is known of a task, for a client.
func showInfo(i triggerhook.Info, payloads bool) taskView {
	out := show(&i.Task, payloads)
	out.State, out.Attempt, out.Next = i.State.String(), i.Attempt, instant(i.Next)
	return out
}

// instant is a time in JSON: nil if it is zero.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
