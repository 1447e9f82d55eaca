package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/triggerhook/triggerhook"
)

// Bounds of what is read of a response.
const (
	mostBody   = 64 << 10 // read, so that the connection can be used again; of a longer one the connection is closed
	mostHeader = 64 << 10
	mostShown  = 200 // in an error
)

// answer is the outcome of a request.
type answer struct {
	outcome string // of the metrics
	err     error  // what Handle returns
	ofHost  error  // what the circuit breaker is told: nil, errNotOfHost, or a failure
}

// newTransport returns the transport: of its own, because a client of net/http would follow redirects, keep the URL in its errors and
// take a proxy from the environment.
func newTransport(o Options, g *guard) *http.Transport {
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, Resolver: o.Resolver, ControlContext: g.control}
	t := &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout: o.TLSTimeout, ResponseHeaderTimeout: o.HeaderTimeout, IdleConnTimeout: time.Minute,
		MaxIdleConns: max(1024, o.PerHost), MaxIdleConnsPerHost: o.PerHost,
		MaxResponseHeaderBytes: mostHeader, DisableCompression: true, // so that no short body becomes a long one
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}, // a connection that hangs is noticed
	}
	if o.ProxyFromEnvironment {
		proxy := httpproxy.FromEnvironment().ProxyFunc() // of net/http's own the first call in the process would count
		t.Proxy = func(q *http.Request) (*url.URL, error) { return proxy(q.URL) }
	}
	return t
}

// send sends one request and judges the response.
func (s *Sender) send(ctx context.Context, d *triggerhook.Delivery, r *prepared) answer {
	bounded, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	began := time.Now()
	q, err := s.request(bounded, d, r, began)
	if err != nil {
		return answer{outcomeFailed, fmt.Errorf("webhook to %s: %w", r.target.origin, err), errNotOfHost}
	}
	response, err := s.transport.RoundTrip(q)
	if err != nil {
		return s.noResponse(ctx, bounded, r.target.origin, began, err)
	}
	defer response.Body.Close()
	// The status is the answer, so an error that ends the body changes nothing: what was read until then is shown.
	body, _ := io.ReadAll(io.LimitReader(response.Body, mostBody))
	s.metrics.took(class(response.StatusCode), began)
	return s.judge(response, body, r.target.origin)
}

// noResponse judges an error of RoundTrip.
func (s *Sender) noResponse(ctx, bounded context.Context, origin string, began time.Time, err error) answer {
	var refused *RefusedError
	var network net.Error
	switch {
	case ctx.Err() != nil:
		s.metrics.took("error", began)
		return answer{outcomeEnded, fmt.Errorf("webhook to %s: no response when the delivery ended: %w", origin, context.Cause(ctx)), errNotOfHost}
	case errors.As(err, &refused):
		s.metrics.took("error", began)
		return answer{outcomeRefused, fmt.Errorf("webhook to %s: %w", origin, refused), errNotOfHost}
	case bounded.Err() != nil:
		s.metrics.took("timeout", began)
		err = fmt.Errorf("webhook to %s: no response within %s", origin, s.o.Timeout)
		return answer{outcomeTimeout, err, err}
	case errors.As(err, &network) && network.Timeout():
		s.metrics.took("timeout", began)
		err = fmt.Errorf("webhook to %s: %s", origin, shown([]byte(err.Error())))
		return answer{outcomeTimeout, err, err}
	default:
		s.metrics.took("error", began)
		err = fmt.Errorf("webhook to %s: %s", origin, shown([]byte(err.Error())))
		return answer{outcomeFailed, err, err}
	}
}

// judge says what a response means for the task, and for the host.
func (s *Sender) judge(r *http.Response, body []byte, origin string) answer {
	if r.StatusCode >= 200 && r.StatusCode < 300 {
		return answer{outcome: outcomeConfirmed}
	}
	err := fmt.Errorf("webhook to %s: status %d", origin, r.StatusCode)
	if text := http.StatusText(r.StatusCode); text != "" {
		err = fmt.Errorf("%w %s", err, text)
	}
	if r.StatusCode >= 300 && r.StatusCode < 400 {
		err = fmt.Errorf("%w: redirects are never followed; give the task its final URL", err)
	}
	if len(body) > 0 {
		err = fmt.Errorf("%w: %s", err, strconv.Quote(shown(body)))
	}
	a := answer{outcomeFailed, err, nil}
	if r.StatusCode >= 500 {
		a.ofHost = err
	}
	delay, asked := s.retryAfter(r)
	switch {
	case r.StatusCode == http.StatusGone:
		a.outcome, a.err = outcomeDiscarded, fmt.Errorf("%w: %w", err, triggerhook.Discard("the receiver does not want it"))
	case asked:
		a.outcome, a.err = outcomeRetryAfter, fmt.Errorf("%w: %w", err, triggerhook.RetryAfter(delay))
	}
	return a
}

// retryAfter returns the delay that a response asks for: from 1 s to MaxRetryAfter, and up to a tenth more, so that many tasks do not come
// back in one moment. A date counts from the time that the response itself names, if it does, because the clocks may differ.
func (s *Sender) retryAfter(r *http.Response) (time.Duration, bool) {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	text := strings.TrimSpace(r.Header.Get("Retry-After"))
	var delay time.Duration
	if n, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		delay = time.Duration(min(n, uint64(s.o.MaxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		now := time.Now()
		if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
			now = date
		}
		delay = at.Sub(now)
	} else {
		return 0, false
	}
	delay = min(max(delay, time.Second), s.o.MaxRetryAfter)
	return delay + rand.N(delay/10), true
}

// shown is the beginning of a text from outside, as an error may show it: valid UTF-8 without control characters.
func shown(text []byte) string {
	cut := strings.ToValidUTF8(string(text[:min(len(text), mostShown)]), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r <= 0x9f {
			return ' '
		}
		return r
	}, cut)
}
