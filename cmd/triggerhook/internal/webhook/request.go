package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook"
)

// forbidden are beginnings of names, in lower case, of headers that are never sent, though they begin with "x-": receivers, and proxies before
// them, take these as a word of a trusted proxy about where a request comes from, or as another request than it seems.
var forbidden = []string{
	"x-forwarded", "x-real-ip", "x-client-ip", "x-client-cert", "x-cluster-client-ip", "x-true-client-ip", "x-remote-", "x-proxy", "x-original-", "x-rewrite-",
	"x-http-", "x-method-", "x-host", "x-envoy-", "x-accel-", "x-sendfile", "x-aws-", "x-amz-", "x-amzn-", "x-goog-", "x-google-", "x-ms-", "x-metadata",
	"x-internal-", "x-appengine-", "x-triggerhook-", "x-webhook-",
}

// traced are headers of a task that are sent besides those that begin with "x-". They are no part of a task's identity.
var traced = []string{"traceparent", "tracestate"}

// prepared is what can be said about the request of a task before it is sent.
type prepared struct {
	target target
	header http.Header
}

// CheckHeaders says whether a task with these headers can be sent: HeaderURL keeps the rules of CheckTarget, HeaderContentType is a media
// type, and those that begin with "x-" have names and values of HTTP, and may be sent. Other headers stay with the task.
func (s *Sender) CheckHeaders(headers map[string]string) error {
	for name := range headers {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, HeaderPrefix) && isForbidden(lower) {
			return fmt.Errorf("header %q: receivers and proxies trust it, so it is never sent", name)
		}
	}
	_, err := s.prepare(&triggerhook.Task{Headers: headers})
	return err
}

// prepare checks a task. Headers that are never sent are left out.
func (s *Sender) prepare(t *triggerhook.Task) (*prepared, error) {
	raw, is := t.Headers[HeaderURL]
	if !is {
		return nil, fmt.Errorf("the task has no header %q, which names the target", HeaderURL)
	}
	to, err := s.targets.parse(raw)
	if err != nil {
		return nil, err
	}
	header, err := outgoing(t.Headers, s.o.ContentType)
	return &prepared{to, header}, err
}

// outgoing returns the headers of a task that are sent. Where two names differ in their case alone, the one that sorts last counts.
func outgoing(headers map[string]string, contentType string) (http.Header, error) {
	h := http.Header{"Content-Type": {contentType}}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value, lower := headers[name], strings.ToLower(name)
		switch {
		case lower == HeaderContentType:
			if !mediaType(value) {
				return nil, fmt.Errorf("header %q: want a media type like application/json", name)
			}
		case slices.Contains(traced, lower), strings.HasPrefix(lower, HeaderPrefix) && !isForbidden(lower):
			if !token(name) {
				return nil, fmt.Errorf("header %q: want a name of letters, digits and !#$%%&'*+-.^_`|~", name)
			}
			if !fieldValue(value) {
				return nil, fmt.Errorf("header %q: want a value of printable ASCII, without a space at either end", name)
			}
		default:
			continue
		}
		h.Set(name, value)
	}
	return h, nil
}

// isForbidden reports whether a header, whose name is in lower case, is never sent. Some servers take _ for -.
func isForbidden(name string) bool {
	name = strings.ReplaceAll(name, "_", "-")
	return slices.ContainsFunc(forbidden, func(f string) bool { return strings.HasPrefix(name, f) })
}

// token reports whether a name is a token of HTTP.
func token(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(others, r)
	})
}

// fieldValue reports whether a value can be sent as it is: printable ASCII, spaces inside.
func fieldValue(value string) bool {
	return textproto.TrimString(value) == value && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' })
}

// mediaType reports whether a value is a media type, with parameters or without.
func mediaType(value string) bool {
	name, _, err := mime.ParseMediaType(value)
	return err == nil && strings.Contains(name, "/") && fieldValue(value)
}

// MessageID returns the webhook-id of a task: a hash of the namespace and of all of the task but Expires and its trace context. So
// it is the same in each attempt, and another one when the task is rescheduled, changed, requeued, or made again with
// an ID that was free.
func (s *Sender) MessageID(t *triggerhook.Task) string {
	h := sha256.New()
	part := func(b []byte) { // a length before each part, so that two tasks with the same parts in a row differ
		h.Write(strconv.AppendInt(nil, int64(len(b)), 10))
		h.Write([]byte{':'})
		h.Write(b)
	}
	part([]byte(s.o.Namespace))
	part([]byte(t.ID))
	part(strconv.AppendInt(nil, t.Due.UnixMilli(), 10))
	part(t.Payload)
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		if !slices.Contains(traced, strings.ToLower(name)) {
			part([]byte(name))
			part([]byte(t.Headers[name]))
		}
	}
	return "msg_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// request makes the request of one attempt.
func (s *Sender) request(ctx context.Context, d *triggerhook.Delivery, r *prepared, now time.Time) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.target.url.String(), bytes.NewReader(d.Payload))
	if err != nil {
		return nil, errors.New("the request cannot be made") // the error has the URL in it
	}
	id := s.MessageID(&d.Task)
	q.Header = r.header.Clone()
	q.Header.Set("User-Agent", s.o.UserAgent)
	q.Header.Set(HeaderID, id)
	q.Header.Set(HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	if signature := s.keys.Load().sign(id, now, d.Payload); signature != "" {
		q.Header.Set(HeaderSignature, signature)
	}
	q.Header.Set(HeaderTaskID, escape(d.ID))
	q.Header.Set(HeaderAttempt, strconv.Itoa(d.Attempt))
	q.Header.Set(HeaderDue, d.Due.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	// An empty slice is not sent: it tells Transport that the request may be repeated where the receiver has closed an idle connection just
	// as the request was written. Deliveries may be repeated anyway, and webhook-id tells.
	q.Header["Idempotency-Key"] = nil
	if s.o.Format == CloudEvents {
		s.attributes(q.Header, d, id)
	}
	return q, nil
}

// attributes adds the attributes of a CloudEvent in binary mode. The ID of a task with control characters is no attribute.
func (s *Sender) attributes(h http.Header, d *triggerhook.Delivery, id string) {
	h.Set("ce-specversion", "1.0")
	h.Set("ce-id", id)
	h.Set("ce-source", s.o.Source)
	h.Set("ce-type", s.o.EventType)
	h.Set("ce-time", d.Due.UTC().Format(time.RFC3339Nano))
	if !strings.ContainsFunc(d.ID, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }) {
		h.Set("ce-subject", escape(d.ID))
	}
	for _, name := range traced { // the extension for distributed tracing
		if value := h.Get(name); value != "" {
			h.Set("ce-"+name, value)
		}
	}
}

// escape percent-encodes all but printable ASCII, and the space, " and %, as a header of a CloudEvent does.
func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
