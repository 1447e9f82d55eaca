// Package api is the HTTP API of "triggerhook serve": tasks that fire webhooks, for programs that are not written in Go.
//
// A request passes, in this order: its origin and host (a page in a browser must not reach the API of a developer's machine), the
// route, the number of requests in flight, token and scope, the token's rate, the body, and the operation. Each refusal
// is a problem document (RFC 9457) and changes nothing. The body is read whole before the operation runs, under a deadline of its own,
// so no operation waits for a slow client.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
)

// Options of New. All fields without a comment on their zero value must be set.
type Options struct {
	Scheduler *triggerhook.Scheduler // whose tasks the API shows and changes
	Targets   Targets                // the sender of webhooks
	Tokens    *tokens.File           // nil: no token is asked for, and only requests to a loopback host are answered
	Metrics   prometheus.Gatherer    // what /metrics shows; nil: there is no /metrics
	Logger    *slog.Logger           // gets a line for each request, without query, payload and token
	Version   string                 // of the program, for the OpenAPI document
	Limits    Limits                 // what a client may take
}

// Targets says what can be sent: a webhook.Sender does.
type Targets interface {
	CheckTarget(url string) error                 // whether a URL may be the target of a task
	CheckHeaders(headers map[string]string) error // whether a task with these headers can be sent
}

// Limits bound what a client may take of the server.
type Limits struct {
	Body      int64         // bytes of a body
	BatchBody int64         // bytes of the body of a batch
	Batch     int           // tasks of a batch
	Rate      float64       // requests a second of one token; 0: no limit
	Burst     int           // requests that a token may make at once
	InFlight  int           // requests at a time
	Read      time.Duration // until the body has arrived
	Request   time.Duration // until the operation ends
}

// DefaultLimits are those that serve has if no flag says otherwise.
var DefaultLimits = Limits{Body: 1 << 20, BatchBody: 16 << 20, Batch: 1000, Rate: 1000, Burst: 1000, InFlight: 256, Read: 10 * time.Second, Request: 30 * time.Second}

// check names each limit that makes no sense.
func (l Limits) check() (err error) {
	refuse := func(bad bool, name string, value any, rule string) {
		if bad {
			err = errors.Join(err, fmt.Errorf("%s %v: want %s", name, value, rule))
		}
	}
	refuse(l.Body < 1, "Body", l.Body, "at least 1")
	refuse(l.BatchBody < 1, "BatchBody", l.BatchBody, "at least 1")
	refuse(l.Batch < 1 || l.Batch > 10_000, "Batch", l.Batch, "1 to 10000")
	refuse(l.Rate < 0, "Rate", l.Rate, "0 (no limit) or more")
	refuse(l.Burst < 1, "Burst", l.Burst, "at least 1")
	refuse(l.InFlight < 1, "InFlight", l.InFlight, "at least 1")
	refuse(l.Read <= 0, "Read", l.Read, "more than 0")
	refuse(l.Request <= 0, "Request", l.Request, "more than 0")
	return err
}

// Server is the HTTP API. It is an http.Handler, and starts nothing.
type Server struct {
	Options
	mux      *http.ServeMux
	api      huma.API
	scopes   map[string]tokens.Scope // of routes that ask for one, by pattern
	bodies   map[string]int64        // of routes that take another size than Limits.Body
	origins  *http.CrossOriginProtection
	inFlight chan struct{}
	rates    rates
	draining atomic.Bool
	figures  *figures
}

// New returns the API of a Scheduler. The error names each limit that makes no sense.
func New(o Options) (*Server, error) {
	if err := o.Limits.check(); err != nil {
		return nil, err
	}
	s := &Server{Options: o, mux: http.NewServeMux(), scopes: map[string]tokens.Scope{}, bodies: map[string]int64{},
		origins: http.NewCrossOriginProtection(), inFlight: make(chan struct{}, o.Limits.InFlight), figures: newFigures()}
	s.rates.limit, s.rates.burst = o.Limits.Rate, o.Limits.Burst
	s.api = humago.New(s.mux, config(o.Version))
	s.createRoutes()
	s.taskRoutes()
	s.manyRoutes()
	s.deadRoutes()
	s.operateRoutes()
	s.mux.HandleFunc("GET /healthz", s.health)
	s.mux.HandleFunc("GET /readyz", s.ready)
	if o.Metrics != nil {
		s.mux.Handle("GET /metrics", MetricsHandler(o.Metrics))
		s.scopes["GET /metrics"] = tokens.Read
	}
	return s, s.docsRoutes()
}

// MetricsHandler shows metrics to Prometheus.
func MetricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{})
}

// config is that of huma, without what loads from elsewhere: its pages of documentation, and links to schemas in bodies.
func config(version string) huma.Config {
	c := huma.DefaultConfig("Trigger Hook", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.Info.Description = "One-off tasks, each at its own time: when a task is due, its payload is sent to its URL."
	c.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token of the server's file (--tokens). Its scopes say what it allows."},
	}
	return c
}

// register adds an operation that asks for a scope.
func register[I, O any](s *Server, scope tokens.Scope, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{"token": {string(scope)}}}
	op.Errors = append(op.Errors, 401, 403, 421, 422, 429, 500, 503)
	if op.Method == http.MethodPost || op.Method == http.MethodPatch {
		op.Errors = append(op.Errors, 400, 408, 413, 415)
	}
	op.BodyReadTimeout, op.MaxBodyBytes = -1, -1 // the body has been read by then, within the limits of Server.body
	s.scopes[op.Method+" "+op.Path] = scope
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// Drain has /readyz answer 503 from now on, so that a load balancer sends no more requests. Those that come are answered.
func (s *Server) Drain() { s.draining.Store(true) }

// Collector has the figures of the HTTP server.
func (s *Server) Collector() prometheus.Collector { return s.figures }
