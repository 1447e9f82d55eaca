package webhook

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// What each response means, as the table of the package has it.
func TestWhatResponsesMean(t *testing.T) {
	const done, dead, failed, delayed = "done", "dead", "failed", "delayed"
	for _, c := range []struct {
		status     int
		retryAfter string
		want       string
		metric     string
	}{
		{200, "", done, outcomeConfirmed}, {201, "", done, outcomeConfirmed}, {204, "5", done, outcomeConfirmed}, {299, "", done, outcomeConfirmed},
		{300, "", failed, outcomeFailed}, {301, "", failed, outcomeFailed}, {302, "", failed, outcomeFailed}, {304, "", failed, outcomeFailed}, {307, "", failed, outcomeFailed}, {308, "5", failed, outcomeFailed},
		{400, "", failed, outcomeFailed}, {404, "5", failed, outcomeFailed}, {410, "", dead, outcomeDiscarded}, {410, "5", dead, outcomeDiscarded},
		{429, "", failed, outcomeFailed}, {429, "5", delayed, outcomeRetryAfter}, {503, "", failed, outcomeFailed}, {503, "5", delayed, outcomeRetryAfter},
		{500, "5", failed, outcomeFailed}, {502, "", failed, outcomeFailed}, {599, "", failed, outcomeFailed}, {999, "", failed, outcomeFailed},
	} {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
		})
		s := newSender(t, Options{AllowPrivate: true})
		err := s.Handle(t.Context(), delivery(r.URL+"/hook?token=hidden"))
		if got := meaning(err); got != c.want {
			t.Errorf("%d with Retry-After %q: %s (%v), want %s", c.status, c.retryAfter, got, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), strconv.Itoa(c.status)) || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), r.URL)) {
			t.Errorf("%d: the error is %q, want status and origin, and not the query", c.status, err)
		}
		if all := r.requests(); len(all) != 1 || all[0].path != "/hook" {
			t.Errorf("%d: %d requests, want the one to the target", c.status, len(all))
		}
		if n := counted(t, s, c.metric); n != 1 {
			t.Errorf("%d: %d deliveries are counted as %s, want 1", c.status, n, c.metric)
		}
	}
}

// meaning is what the Scheduler makes of an error of Handle.
func meaning(err error) string {
	switch {
	case err == nil:
		return "done"
	case triggerhook.Discarded(err):
		return "dead"
	case triggerhook.Snoozed(err):
		return "snoozed"
	case strings.Contains(err.Error(), "retry after"):
		return "delayed"
	default:
		return "failed"
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	s := newSender(t, Options{MaxRetryAfter: time.Minute})
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, c := range []struct {
		retryAfter, date string
		least, most      time.Duration // 0: no delay is asked for
	}{
		{"30", "", 30 * time.Second, 33 * time.Second},
		{"0", "", time.Second, 1100 * time.Millisecond},
		{"61", "", time.Minute, 66 * time.Second},
		{"99999999999999999999999", "", time.Minute, 66 * time.Second},
		{date(30 * time.Second), "", 28 * time.Second, 33 * time.Second},
		{date(-time.Hour), "", time.Second, 1100 * time.Millisecond},
		{date(time.Hour), "", time.Minute, 66 * time.Second},
		{date(time.Hour + 30*time.Second), date(time.Hour), 28 * time.Second, 33 * time.Second}, // the receiver's clock is an hour ahead
		{"", "", 0, 0}, {"-5", "", 0, 0}, {"1.5", "", 0, 0}, {"soon", "", 0, 0},
	} {
		r := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {c.retryAfter}, "Date": {c.date}}}
		delay, asked := s.retryAfter(r)
		if asked != (c.most > 0) || delay < c.least || delay > c.most {
			t.Errorf("Retry-After %q with Date %q: %s, %t; want %s to %s", c.retryAfter, c.date, delay, asked, c.least, c.most)
		}
	}
}

// The first bytes of the body are in the error, without control characters; a long body is not read to its end.
func TestTheErrorShowsTheBeginningOfTheBody(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		w.Write([]byte("out of paper\x1b[31m\n\xff" + strings.Repeat("x", 1<<20)))
	})
	err := newSender(t, Options{AllowPrivate: true}).Handle(t.Context(), delivery(r.URL))
	if err == nil || !strings.Contains(err.Error(), `"out of paper [31m `) || strings.ContainsAny(err.Error(), "\x1b\n") || !utf8.ValidString(err.Error()) || len(err.Error()) > 400 {
		t.Errorf("%q, want the first 200 bytes, cleaned", err)
	}
}

// A receiver that does not answer in time fails the attempt, wherever it hangs.
func TestSlowReceiversTimeOut(t *testing.T) {
	release := make(chan struct{})
	hang := func(w http.ResponseWriter, q *http.Request) {
		select {
		case <-release:
		case <-q.Context().Done():
		}
	}
	slow := newReceiver(t, hang)
	silent := must(net.Listen("tcp", "127.0.0.1:0"))(t) // it accepts, by the kernel, and says nothing
	defer silent.Close()
	defer close(release)
	for name, c := range map[string]struct {
		o      Options
		target string
		want   string
	}{
		"the whole":       {Options{Timeout: 50 * time.Millisecond}, slow.URL, "no response within 50ms"},
		"response header": {Options{HeaderTimeout: 50 * time.Millisecond}, slow.URL, "awaiting response headers"},
		"TLS handshake":   {Options{TLSTimeout: 50 * time.Millisecond}, "https://" + silent.Addr().String(), "TLS handshake timeout"},
	} {
		c.o.AllowPrivate = true
		s := newSender(t, c.o)
		err := s.Handle(t.Context(), delivery(c.target))
		if meaning(err) != "failed" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a failure with %q", name, err, c.want)
		}
		if n := counted(t, s, outcomeTimeout); n != 1 {
			t.Errorf("%s: %d timeouts are counted, want 1", name, n)
		}
	}
}

// A status of success that came is the answer, whatever becomes of the body.
func TestABodyThatBreaksOffChangesNothing(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("short"))
	})
	if err := newSender(t, Options{AllowPrivate: true}).Handle(t.Context(), delivery(r.URL)); err != nil {
		t.Error(err)
	}
}

// When the delivery ends, so does the request; the error says why, so that the Scheduler knows a task that is gone.
func TestTheRequestEndsWithTheDelivery(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	arrived := make(chan struct{})
	r := newReceiver(t, func(_ http.ResponseWriter, q *http.Request) {
		close(arrived)
		<-q.Context().Done()
	})
	go func() {
		<-arrived
		cancel(task.ErrGone)
	}()
	s := newSender(t, Options{AllowPrivate: true})
	if err := s.Handle(ctx, delivery(r.URL)); !errors.Is(err, task.ErrGone) || meaning(err) != "failed" {
		t.Errorf("%v, want ErrGone", err)
	}
	if n := counted(t, s, outcomeEnded); n != 1 {
		t.Errorf("%d deliveries are counted as ended, want 1", n)
	}
}

// No connection: the error says what failed.
func TestNoConnection(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	target := "http://" + l.Addr().String()
	l.Close()
	err := newSender(t, Options{AllowPrivate: true}).Handle(t.Context(), delivery(target+"/?token=hidden"))
	if meaning(err) != "failed" || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v, want a failure that says why, without the query", err)
	}
}

// A task that can never be sent is a dead letter at once.
func TestATaskThatCannotBeSentIsDiscarded(t *testing.T) {
	s := newSender(t, Options{})
	for name, headers := range map[string]map[string]string{
		"no target":       {},
		"a bad target":    {HeaderURL: "gopher://example.com"},
		"refused":         {HeaderURL: "http://127.0.0.1/"},
		"no media type":   {HeaderURL: "http://example.com/", HeaderContentType: "json"},
		"a line break":    {HeaderURL: "http://example.com/", "x-note": "a\r\nhost: b"},
		"a bad name":      {HeaderURL: "http://example.com/", "x-no te": "a"},
		"a value of UTF8": {HeaderURL: "http://example.com/", "x-note": "é"},
		"trace context":   {HeaderURL: "http://example.com/", "traceparent": "a\n"},
	} {
		d := delivery("")
		d.Headers = headers
		if err := s.Handle(t.Context(), d); meaning(err) != "dead" {
			t.Errorf("%s: %v, want it to be discarded", name, err)
		}
		if err := s.CheckHeaders(headers); err == nil {
			t.Errorf("%s: CheckHeaders allows it", name)
		}
	}
	if n := counted(t, s, outcomeDiscarded); n != 8 {
		t.Errorf("%d are counted as discarded, want 8", n)
	}
}

// Of the headers of a task those that may be are sent, and no others.
func TestWhichHeadersAreSent(t *testing.T) {
	r := newReceiver(t, nil)
	d := delivery(r.URL)
	kept := map[string]string{"x-tenant": "7", "X-Trace": "a b", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
	withheld := map[string]string{"authorization": "Bearer hidden", "cookie": "a=b", "host": "evil.example", "connection": "x-tenant", "transfer-encoding": "chunked",
		"tenant": "7", "te": "trailers", "upgrade": "h2c", "x-forwarded-for": "10.0.0.1", "X-Forwarded-Host": "evil.example", "x_forwarded_for": "1", "x-real_ip": "2", "x-Real-IP": "10.0.0.1",
		"x-http-method-override": "DELETE", "x-original-url": "/admin", "x-aws-ec2-metadata-token": "1", "x-envoy-internal": "1", "webhook-id": "msg_1", "ce-id": "1"}
	for _, m := range []map[string]string{kept, withheld} {
		for name, value := range m {
			d.Headers[name] = value
		}
	}
	s := newSender(t, Options{AllowPrivate: true})
	if err := s.Handle(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got := r.one(t).header
	for name, value := range kept {
		if got.Get(name) != value {
			t.Errorf("header %s is %q, want %q", name, got.Get(name), value)
		}
	}
	for name, value := range withheld {
		if name != "webhook-id" && got.Get(name) != "" || got.Get(name) == value {
			t.Errorf("header %s is sent: %q", name, got.Get(name))
		}
		refused := s.CheckHeaders(map[string]string{HeaderURL: r.URL, name: value}) != nil
		if lower := strings.ToLower(name); refused != strings.HasPrefix(lower, "x-") {
			t.Errorf("CheckHeaders refuses %s: %t; want it to refuse those that begin with x-, which a caller expects to be sent", name, refused)
		}
	}
	if _, is := got["Idempotency-Key"]; is {
		t.Error("the empty Idempotency-Key is sent")
	}
}

// A receiver may close a connection that is idle just as the next request is written on it. That is no failed attempt.
func TestAConnectionThatTheReceiverHasClosedIsNoFailure(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveOnce(c)
		}
	}()
	s := newSender(t, Options{AllowPrivate: true})
	for i := range 2 {
		if err := s.Handle(t.Context(), delivery("http://"+l.Addr().String())); err != nil {
			t.Errorf("request %d: %v", i+1, err)
		}
	}
}

// serveOnce answers one request of c, and closes c when it has read the next one.
func serveOnce(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range 2 {
		q, err := http.ReadRequest(r)
		if err != nil || i > 0 {
			return
		}
		if _, err := r.Discard(int(q.ContentLength)); err != nil {
			return
		}
		if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")); err != nil {
			return
		}
	}
}

// TLS is checked against RootCAs, and HTTP/2 is spoken where the receiver does.
func TestTLSAndHTTP2(t *testing.T) {
	var protocol string
	r := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { protocol = q.Proto }))
	r.EnableHTTP2 = true
	r.StartTLS()
	defer r.Close()
	if err := newSender(t, Options{AllowPrivate: true}).Handle(t.Context(), delivery(r.URL)); meaning(err) != "failed" || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v, want a failure that says so", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(r.Certificate())
	if err := newSender(t, Options{AllowPrivate: true, RootCAs: pool}).Handle(t.Context(), delivery(r.URL)); err != nil || protocol != "HTTP/2.0" {
		t.Errorf("%v by %s, want HTTP/2.0", err, protocol)
	}
}
