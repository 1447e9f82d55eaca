package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
)

// requestKey is the key of the request's ID in its context, and tokenKey that of its token's name.
type requestKey struct{}
type tokenKey struct{}

func requestID(ctx context.Context) string { id, _ := ctx.Value(requestKey{}).(string); return id }
func tokenName(ctx context.Context) string { name, _ := ctx.Value(tokenKey{}).(string); return name }

// exchange is one request and what was answered. One goroutine owns it.
type exchange struct {
	http.ResponseWriter
	status int
	bytes  int64
	route  string // the pattern of its route
	token  string // the name of its token
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(some []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(some)
	x.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// ServeHTTP implements http.Handler. It logs and counts each request, and a panic is a problem of status 500.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	id := rand.Text()
	x := &exchange{ResponseWriter: w, route: "none"}
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
	s.figures.inFlight.Inc()
	defer func() {
		if p := recover(); p != nil {
			s.panicked(x, r, p)
		}
		s.figures.inFlight.Dec()
		s.figures.count(x, time.Since(began))
		s.logRequest(x, r, time.Since(began))
	}()
	s.admit(x, r)
}

// panicked answers a request whose operation panicked.
func (s *Server) panicked(x *exchange, r *http.Request, p any) {
	if p == http.ErrAbortHandler {
		panic(p) // net/http closes the connection, as it was asked to
	}
	s.Logger.Error("panic", "request", requestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
	if x.status == 0 {
		refuse(x, http.StatusInternalServerError, "internal", "the server failed; its log says why")
	}
}

// logRequest logs neither query nor headers nor body, because these may hold what is secret.
func (s *Server) logRequest(x *exchange, r *http.Request, took time.Duration) {
	level := slog.LevelInfo
	if _, api := s.scopes[x.route]; !api && x.status < 400 {
		level = slog.LevelDebug // probes and pages
	}
	s.Logger.Log(r.Context(), level, "request", "request", requestID(r.Context()), "method", r.Method, "path", r.URL.EscapedPath(), "route", x.route,
		"status", x.status, "bytes", x.bytes, "took", took, "token", x.token, "remote", r.RemoteAddr)
}

// admit refuses what must not reach an operation, in the order that the package comment names.
func (s *Server) admit(x *exchange, r *http.Request) {
	if err := s.origins.Check(r); err != nil {
		refuse(x, http.StatusForbidden, "origin", "requests of web pages of other origins are refused: "+err.Error())
		return
	}
	if s.Tokens == nil && !loopbackHost(r.Host) {
		refuse(x, http.StatusMisdirectedRequest, "host", "without --tokens only requests to localhost or a loopback address are answered; the Host is "+strconv.Quote(r.Host))
		return
	}
	route, pattern := s.mux.Handler(r)
	if pattern == "" {
		noRoute(x, r, route)
		return
	}
	x.route = pattern
	if _, is := s.scopes[pattern]; !is {
		s.mux.ServeHTTP(x, r)
		return
	}
	select {
	case s.inFlight <- struct{}{}:
		defer func() { <-s.inFlight }()
		s.authorized(x, r)
	default:
		x.Header().Set("Retry-After", "1")
		refuse(x, http.StatusServiceUnavailable, "busy", "too many requests are in flight")
	}
}

// loopbackHost reports whether the Host of a request is this machine by a name that no other site can have. A page whose name was made to
// resolve to 127.0.0.1 (DNS rebinding) has its own name there.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// noRoute answers 404 or 405: what the mux would answer, as a problem.
func noRoute(x *exchange, r *http.Request, route http.Handler) {
	answer := &statusOnly{header: http.Header{}}
	route.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		x.Header().Set("Allow", answer.header.Get("Allow"))
		refuse(x, http.StatusMethodNotAllowed, "method", r.Method+" is not allowed here; "+answer.header.Get("Allow")+" is")
		return
	}
	refuse(x, http.StatusNotFound, "no-route", "there is no such path; /docs lists all")
}

// statusOnly keeps the status and headers of an answer.
type statusOnly struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (s *statusOnly) Header() http.Header { return s.header }

// Write implements http.ResponseWriter.
func (s *statusOnly) Write(some []byte) (int, error) { return len(some), nil }

// WriteHeader implements http.ResponseWriter.
func (s *statusOnly) WriteHeader(status int) { s.status = status }

// authorized serves a request if its token has the scope, and its rate allows it.
func (s *Server) authorized(x *exchange, r *http.Request) {
	if s.Tokens != nil {
		t, ok := s.authenticate(x, r)
		if !ok {
			return
		}
		x.token = t.Name
		if scope := s.scopes[x.route]; !t.Allows(scope) {
			x.Header().Set("WWW-Authenticate", `Bearer realm="triggerhook", error="insufficient_scope", scope="`+string(scope)+`"`)
			refuse(x, http.StatusForbidden, "scope", "the token "+strconv.Quote(t.Name)+" lacks the scope "+string(scope))
			return
		}
	}
	if wait := s.rates.wait(x.token); wait > 0 {
		x.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		refuse(x, http.StatusTooManyRequests, "rate", "more requests than this token may make; wait "+wait.Round(time.Millisecond).String())
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), tokenKey{}, x.token))
	if !s.body(x, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Limits.Request)
	defer cancel()
	s.mux.ServeHTTP(x, r.WithContext(ctx))
}

// authenticate returns the token of a request, or answers 401.
func (s *Server) authenticate(x *exchange, r *http.Request) (t tokens.Token, ok bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		x.Header().Set("WWW-Authenticate", `Bearer realm="triggerhook"`)
		refuse(x, http.StatusUnauthorized, "token", "no token: send the header Authorization: Bearer TOKEN")
		return t, false
	}
	if t, ok = s.Tokens.Find(strings.TrimSpace(text)); !ok {
		x.Header().Set("WWW-Authenticate", `Bearer realm="triggerhook", error="invalid_token"`)
		refuse(x, http.StatusUnauthorized, "token", "the server does not know this token")
	}
	return t, ok
}

// body reads the body, under a limit of size and of time, and puts what it read in its place. The deadline of the connection ends with that: it is
// for the body alone.
func (s *Server) body(x *exchange, r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	limit := s.Limits.Body
	if other, is := s.bodies[x.route]; is {
		limit = other
	}
	conn := http.NewResponseController(x)
	if err := conn.SetReadDeadline(time.Now().Add(s.Limits.Read)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.Logger.Warn("no deadline for a body", "request", requestID(r.Context()), "err", err)
	}
	all, err := io.ReadAll(http.MaxBytesReader(x, r.Body, limit))
	if err != nil {
		refuseBody(x, err, limit, s.Limits.Read)
		return false
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.Logger.Warn("a deadline stays on a connection", "request", requestID(r.Context()), "err", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(all))
	return true
}

// refuseBody answers a request whose body did not arrive. The connection has the rest of it, so it is closed.
func refuseBody(x *exchange, err error, limit int64, wait time.Duration) {
	x.Header().Set("Connection", "close")
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		refuse(x, http.StatusRequestEntityTooLarge, "too-large", "the body is longer than "+strconv.FormatInt(limit, 10)+" bytes")
	case errors.Is(err, os.ErrDeadlineExceeded):
		refuse(x, http.StatusRequestTimeout, "timeout", "the body did not arrive within "+wait.String())
	default:
		refuse(x, http.StatusBadRequest, "invalid", "the body cannot be read: "+err.Error())
	}
}

// rates has a limiter for each token that has made a request.
type rates struct {
	limit float64
	burst int

	mu sync.Mutex
	by map[string]*rate.Limiter
}

// wait is how long a token must wait for its next request: 0 if it may make it now, which then counts.
func (r *rates) wait(token string) time.Duration {
	if r.limit == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]*rate.Limiter{}
	}
	if r.by[token] == nil {
		r.by[token] = rate.NewLimiter(rate.Limit(r.limit), r.burst)
	}
	reserved := r.by[token].Reserve()
	wait := reserved.Delay()
	if wait > 0 {
		reserved.Cancel()
	}
	return wait
}
