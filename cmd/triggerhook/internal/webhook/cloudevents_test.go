package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// The SDK of CloudEvents reads what is sent in binary mode, and the public verifier of Standard Webhooks accepts its signature.
func TestCloudEvents(t *testing.T) {
	key := secret()
	r := newReceiver(t, nil)
	s := newSender(t, Options{AllowPrivate: true, Format: CloudEvents, Secrets: []string{key}, Namespace: "shop"})
	d := delivery(r.URL)
	d.Headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := s.Handle(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got := r.one(t)
	e, err := cehttp.NewEventFromHTTPRequest(&http.Request{Header: got.header, Body: http.NoBody})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string][2]string{
		"id": {e.ID(), got.header.Get(HeaderID)}, "source": {e.Source(), "/triggerhook/shop"}, "type": {e.Type(), "triggerhook.task.due"},
		"subject": {e.Subject(), "order%207/remind"}, "specversion": {e.SpecVersion(), "1.0"}, "datacontenttype": {e.DataContentType(), "application/json"},
		"time": {e.Time().Format(time.RFC3339Nano), "2027-01-15T08:00:00.123Z"}, "traceparent": {e.Extensions()["traceparent"].(string), d.Headers["traceparent"]},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %q, want %q", name, c[0], c[1])
		}
	}
	if string(got.body) != `{"order":7}` || !strings.HasPrefix(e.ID(), "msg_") {
		t.Errorf("body %q and id %q", got.body, e.ID())
	}
	if err := verifier(t, key).Verify(got.body, got.header); err != nil {
		t.Error(err)
	}
}

// An ID with control characters is no value of an attribute: the event goes without a subject, and is valid.
func TestAnEventOfAnIDWithControlCharactersHasNoSubject(t *testing.T) {
	r := newReceiver(t, nil)
	d := delivery(r.URL)
	d.ID = "a\r\nhost: b\x00"
	if err := newSender(t, Options{AllowPrivate: true, Format: CloudEvents}).Handle(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got := r.one(t).header
	e, err := cehttp.NewEventFromHTTPRequest(&http.Request{Header: got, Body: http.NoBody})
	if err != nil || e.Validate() != nil || e.Subject() != "" || got.Get(HeaderTaskID) != "a%0D%0Ahost:%20b%00" {
		t.Errorf("%v, subject %q, task id %q", err, e.Subject(), got.Get(HeaderTaskID))
	}
}

// The identity of a task is all that makes it the task that it is.
func TestTheMessageIDIsOfTheTask(t *testing.T) {
	s := newSender(t, Options{})
	first := delivery("http://example.com/")
	again := delivery("http://example.com/")
	again.Attempt = 7
	again.Headers["traceparent"] = "another"
	again.Expires = time.Now()
	if a, b := s.MessageID(&first.Task), s.MessageID(&again.Task); a != b {
		t.Errorf("%s and %s of two attempts, want one", a, b)
	}
	seen := map[string]string{s.MessageID(&first.Task): "the first"}
	for name, change := range map[string]func(){
		"another namespace": func() { s = newSender(t, Options{Namespace: "other"}) },
		"another ID":        func() { first.ID = "b" },
		"another time":      func() { first.Due = first.Due.Add(time.Millisecond) },
		"another payload":   func() { first.Payload = []byte("x") },
		"another header":    func() { first.Headers["x-tenant"] = "7" },
		"parts that move":   func() { first.Headers["x-tenant7"] = ""; delete(first.Headers, "x-tenant") },
	} {
		change()
		id := s.MessageID(&first.Task)
		if before, is := seen[id]; is {
			t.Errorf("%s has the id of %s", name, before)
		}
		seen[id] = name
	}
}
