package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triggerhook/triggerhook"
)

// What breaks a rule is refused as a problem, and nothing is stored.
func TestRefusedRequestsStoreNothing(t *testing.T) {
	w := alone(t, func(o *Options) { o.Limits.Body = 2000 })
	task := func(fields string) string { return `{"id":"x","url":"https://example.com/",` + fields + `}` }
	for _, r := range []struct {
		body   string
		status int
		kind   string
		says   string
		header string
	}{
		{"", 400, "invalid", "body is required", ""},
		{"{", 400, "invalid", "", ""},
		{`[]`, 422, "invalid", "", ""},
		{task(`"in":"1h"`), 415, "media-type", "", "Content-Type: text/plain"},
		{task(`"in":"1h"`), 415, "media-type", "", "Content-Type: application/x-www-form-urlencoded"},
		{task(`"in":"1h","payload":"` + strings.Repeat("x", 2000) + `"`), 413, "too-large", "2000 bytes", ""},
		{`{"id":"x","in":"1h"}`, 422, "invalid", "", ""},
		{task(`"in":"1h","payloads":"x"`), 422, "invalid", "", ""},
		{task(`"payload":"x"`), 422, "invalid", "due or in", ""},
		{task(`"in":"1h","due":"2027-01-01T00:00:00Z"`), 422, "invalid", "one of both", ""},
		{task(`"in":"-1s"`), 422, "invalid", "-1s", ""},
		{task(`"in":"soon"`), 422, "invalid", "soon", ""},
		{task(`"due":"tomorrow"`), 422, "invalid", "", ""},
		{task(`"due":"2027-01-01T00:00:00Z","expires":"2026-12-31T00:00:00Z"`), 422, "invalid", "", ""},
		{task(`"in":"1h","payload":"x","payload_json":{}`), 422, "invalid", "one of payload", ""},
		{task(`"in":"1h","payload_base64":"?"`), 422, "invalid", "", ""},
		{task(`"in":"1h","content_type":"nothing/"`), 422, "invalid", "content-type", ""},
		{task(`"in":"1h","on_conflict":"perhaps"`), 422, "invalid", "", ""},
		{task(`"in":"1h","headers":{"Host":"a"}`), 422, "invalid", "Host", ""},
		{task(`"in":"1h","headers":{"webhook-id":"a"}`), 422, "invalid", "webhook-id", ""},
		{task(`"in":"1h","headers":{"webhook-url":"https://example.org/"}`), 422, "invalid", "webhook-url", ""},
		{task(`"in":"1h","headers":{"x-forwarded-for":"a"}`), 422, "invalid", "x-forwarded-for", ""},
		{task(`"in":"1h","headers":{"x-a":"b\r\nc: d"}`), 422, "invalid", "x-a", ""},
		{task(`"in":"1h","headers":{"x-a":"1","X-A":"2"}`), 422, "invalid", "twice", ""},
		{`{"id":"x","in":"1h","url":"ftp://example.com/"}`, 422, "invalid", "http", ""},
		{`{"id":"x","in":"1h","url":"https://169.254.0.1/"}`, 422, "invalid", "--webhook-", ""},
		{`{"id":"` + strings.Repeat("x", 129) + `","in":"1h","url":"https://example.com/"}`, 422, "invalid", "128", ""},
		{`{"id":"a\u0000b","in":"1h","url":"https://example.com/"}`, 422, "invalid", "", ""},
		{`{"id":"/","in":"1h","url":"https://example.com/"}`, 422, "invalid", "folder", ""},
		{`{"id":"..","in":"1h","url":"https://example.com/"}`, 422, "invalid", "folder", ""},
		{task(`"in":"1h"`), 403, "origin", "", "Origin: https://example.org"},
		{task(`"in":"1h"`), 403, "origin", "", "Sec-Fetch-Site: cross-site"},
		{task(`"in":"1h"`), 421, "host", "example.org", "Host: example.org"},
	} {
		got := w.do("POST", "/v1/tasks", r.body, r.header).want(r.status, r.kind)
		if !strings.Contains(got.body, r.says) {
			t.Errorf("%.100s: %s, want a word of %q", r.body, got.body, r.says)
		}
		if len(got.body) > 1500 {
			t.Errorf("%.100s: the problem has %d bytes: it repeats the input", r.body, len(got.body))
		}
	}
	w.do("GET", "/v1/task", "").want(404, "no-route")
	w.do("POST", "/v1/tasks?x=1", task(`"in":"1h"`)).want(422, "invalid")
	if allow := w.do("PUT", "/v1/tasks/a", "").want(405, "method").header.Get("Allow"); !strings.Contains(allow, "PATCH") {
		t.Errorf("Allow: %q", allow)
	}
	w.do("GET", "/v1/tasks/"+strings.Repeat("x", 129), "").want(422, "invalid")
	if all := w.pages("/v1/tasks", "tasks", "", 100); len(all) != 0 {
		t.Errorf("stored: %v", all)
	}
	for _, host := range []string{"localhost", "localhost:80", "127.0.0.9", "[::1]:8080"} {
		w.do("GET", "/v1/tasks", "", "Host: "+host).want(200, "")
	}
}

// Each operation asks for the scope that the document names, and for a token that the file has.
func TestEachOperationAsksForItsScope(t *testing.T) {
	var all map[string]string
	w := alone(t, func(o *Options) {
		all = withTokens(t, o, "read", "write", "operate", "read,write", "read,operate", "write,operate")
		o.Metrics = prometheus.NewRegistry()
	})
	others := map[string]string{"read": all["write,operate"], "write": all["read,operate"], "operate": all["read,write"]}
	try := func(method, path, scope string) {
		t.Helper()
		path = strings.ReplaceAll(path, "{id}", "none")
		body := ""
		if method != "GET" && method != "DELETE" {
			body = "{}"
		}
		w.token = ""
		if got := w.do(method, path, body).want(401, "token").header.Get("WWW-Authenticate"); got != `Bearer realm="triggerhook"` {
			t.Errorf("%s %s: WWW-Authenticate %q", method, path, got)
		}
		w.do(method, path, body, "Authorization: Basic "+all[scope]).want(401, "token")
		w.token = all[scope] + "x"
		if got := w.do(method, path, body).want(401, "token").header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
			t.Errorf("%s %s: WWW-Authenticate %q", method, path, got)
		}
		w.token = others[scope]
		if got := w.do(method, path, body).want(403, "scope").header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="`+scope+`"`) {
			t.Errorf("%s %s: WWW-Authenticate %q", method, path, got)
		}
		w.token = all[scope]
		if got := w.do(method, path, body); got.status == 401 || got.status == 403 {
			t.Errorf("%s %s with the scope %s: %d", method, path, scope, got.status)
		}
	}
	n := 0
	for path, item := range w.s.api.OpenAPI().Paths {
		for method, op := range operations(item) {
			n++
			try(method, path, op.Security[0]["token"][0])
		}
	}
	try("GET", "/metrics", "read")
	if n != len(documentedRoutes) {
		t.Errorf("%d operations, want %d", n, len(documentedRoutes))
	}
	w.token = ""
	for _, path := range []string{"/healthz", "/readyz", "/docs", "/docs.css", "/openapi.json"} {
		if got := w.do("GET", path, ""); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if strings.Contains(w.logs.String(), all["read"]) || !strings.Contains(w.logs.String(), "token=read+operate") {
		t.Error("the log has a token, or lacks the name of one")
	}
}

// A request that comes too often, or while too many are answered, waits.
func TestRatesAndRequestsInFlight(t *testing.T) {
	var all map[string]string
	w := alone(t, func(o *Options) {
		o.Limits.Rate, o.Limits.Burst, o.Limits.InFlight = 0.001, 2, 1
		all = withTokens(t, o, "read", "read,write")
	})
	w.token = all["read"]
	w.do("GET", "/v1/tasks", "").want(200, "")
	w.do("GET", "/v1/tasks", "").want(200, "")
	for range 3 {
		if wait := w.do("GET", "/v1/tasks", "").want(429, "rate").header.Get("Retry-After"); wait != "1000" && wait != "999" {
			t.Errorf("Retry-After %q, want about 1000", wait)
		}
	}
	w.token = all["read,write"]
	w.do("GET", "/v1/tasks", "").want(200, "")
	w.s.inFlight <- struct{}{}
	if wait := w.do("GET", "/v1/tasks", "").want(503, "busy").header.Get("Retry-After"); wait != "1" {
		t.Errorf("Retry-After %q, want 1", wait)
	}
	w.do("GET", "/healthz", "").want(200, "")
	<-w.s.inFlight
	w.do("GET", "/v1/tasks", "").want(200, "")
}

// A body that does not arrive in time is refused, and the connection closed.
func TestASlowBodyIsRefused(t *testing.T) {
	w := alone(t, func(o *Options) { o.Limits.Read = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	must(t, err)
	answered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answered, nil)
	must(t, err)
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	answer{t, resp.StatusCode, resp.Header, string(text)}.want(408, "timeout")
	if _, err := answered.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer: %v, want the end of the connection", err)
	}
}

// A failure, and a panic, is a problem; the log has what the client must not see.
func TestFailuresAreProblems(t *testing.T) {
	w := alone(t, nil)
	w.s.mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("secret of the server") })
	if got := w.do("GET", "/panic", "").want(500, "internal"); strings.Contains(got.body, "secret") || got.header.Get("X-Request-Id") == "" {
		t.Errorf("a panic: %s", got.body)
	}
	if !strings.Contains(w.logs.String(), "secret of the server") {
		t.Error("the log lacks the panic")
	}
	private := fmt.Errorf("dial 10.0.0.1: %w", triggerhook.ErrUnavailable)
	for _, c := range []struct {
		err    error
		status int
		kind   string
		retry  bool
	}{
		{private, 503, "unavailable", true}, {triggerhook.ErrClosed, 503, "unavailable", true}, {triggerhook.ErrReadOnly, 503, "unavailable", true},
		{fmt.Errorf("10.0.0.1: %w", context.DeadlineExceeded), 503, "timeout", true}, {triggerhook.ErrPaused, 503, "paused", true},
		{triggerhook.ErrNotMigrated, 500, "not-migrated", false}, {triggerhook.ErrMismatch, 500, "mismatch", false}, {triggerhook.ErrRefused, 500, "refused", false},
		{triggerhook.ErrUnsupported, 501, "unsupported", false}, {triggerhook.ErrTooLarge, 413, "too-large", false}, {errors.New("10.0.0.1"), 500, "internal", false},
	} {
		err := w.s.problem(t.Context(), c.err)
		r := w.s.batchResult(t.Context(), stored{err: err})
		if r.Status != c.status || r.Problem.Type != "urn:triggerhook:"+c.kind || strings.Contains(r.Problem.Detail, "10.0.0.1") || r.Problem.Detail == "" {
			t.Errorf("%v: %+v, want %d %s without an address", c.err, r.Problem, c.status, c.kind)
		}
		if has := errors.As(err, new(interface{ GetHeaders() http.Header })); has != c.retry {
			t.Errorf("%v: Retry-After %t, want %t", c.err, has, c.retry)
		}
	}
}

// Without its stores the server lives, is not ready, and says so. It is not ready either once it drains.
func TestReadiness(t *testing.T) {
	w := alone(t, nil)
	w.do("GET", "/readyz", "").want(200, "")
	w.s.Drain()
	w.do("GET", "/readyz", "").want(503, "draining")
	w.do("GET", "/v1/tasks", "").want(200, "")
	w.s.draining.Store(false)
	must(t, w.store.(io.Closer).Close())
	w.do("POST", "/v1/tasks", `{"in":"1h","url":"https://example.com/"}`).want(503, "unavailable")
	w.until("not ready without a store", func() bool { return w.do("GET", "/readyz", "").status == 503 })
	w.do("GET", "/healthz", "").want(200, "")
}

func TestFiguresOfTheServer(t *testing.T) {
	w := alone(t, nil)
	w.do("GET", "/v1/tasks", "").want(200, "")
	w.do("GET", "/v1/tasks/a", "").want(404, "not-found")
	w.do("GET", "/v1/tasks/b", "").want(404, "not-found")
	w.do("GET", "/elsewhere", "").want(404, "no-route")
	const want = `
# HELP triggerhook_http_requests_total Requests of the HTTP API that were answered, by route and status.
# TYPE triggerhook_http_requests_total counter
triggerhook_http_requests_total{route="GET /v1/tasks",status="200"} 1
triggerhook_http_requests_total{route="GET /v1/tasks/{id}",status="404"} 2
triggerhook_http_requests_total{route="none",status="404"} 1
`
	w.until("all requests are counted", func() bool {
		return testutil.CollectAndCompare(w.s.Collector(), strings.NewReader(want), "triggerhook_http_requests_total") == nil
	})
}

func TestLimitsThatMakeNoSense(t *testing.T) {
	_, err := New(Options{})
	for _, name := range []string{"Body", "BatchBody", "Batch", "Burst", "InFlight", "Read", "Request"} {
		if err == nil || !strings.Contains(err.Error(), name+" 0") {
			t.Errorf("%v, want a line about %s", err, name)
		}
	}
}
