// Package webhook sends a task that is due as a webhook: one POST to the URL that the task carries, signed by the Standard Webhooks
// specification (https://www.standardwebhooks.com), or a CloudEvent 1.0 in binary mode that is signed in the same way.
//
// # The task
//
// The header "webhook-url" of a task has the target, "content-type" the media type of the payload, which becomes the body. Headers that
// begin with "x-", traceparent and tracestate become headers of the request, except those by which receivers and proxies judge where
// a request comes from (x-forwarded-for and others). Other headers of the task are not sent.
//
// # The outcome
//
//	response                      what becomes of the task
//	2xx                           it is done
//	410                           a dead letter at once (triggerhook.Discard)
//	429, 503 with Retry-After     offered again after that time, at most MaxRetryAfter; the attempt counts
//	3xx                           a failed attempt: redirects are never followed
//	other 4xx and 5xx             a failed attempt: Options.Retry of the Scheduler says when the next one comes
//	none: no connection, time     a failed attempt
//	not sent: PerHost requests    postponed for as long as its host is likely to need; no attempt counts
//	not sent: circuit open        postponed until after the circuit tries again; no attempt counts
//	not sent: address refused     a failed attempt, because the name may resolve to another address later
//	not sent: target or header    a dead letter at once: without a change of the task or of the options it can never be sent
//	breaks a rule
//
// A task whose host is away for long waits without using up its attempts, because only the few requests that an open circuit tries
// count. Set Task.Expires where too late is worse than never.
//
// Delivery is at least once, like that of all tasks: webhook-id is the same in all attempts of one task, and receivers tell a repetition by it.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triggerhook/triggerhook"
)

// Headers of a task.
const (
	// HeaderURL has the target of a task.
	HeaderURL = "webhook-url"
	// HeaderContentType has the media type of its payload.
	HeaderContentType = "content-type"
	// HeaderPrefix begins the names of headers of a task that are sent.
	HeaderPrefix = "x-"
)

// Headers of a request besides those of a task.
const (
	// HeaderID has what identifies the task: the same in each attempt.
	HeaderID = "webhook-id"
	// HeaderTimestamp has the time of the attempt, in seconds since 1970.
	HeaderTimestamp = "webhook-timestamp"
	// HeaderSignature has the signatures, with spaces between them.
	HeaderSignature = "webhook-signature"
	// HeaderTaskID has the ID of the task, percent-encoded. It is not signed.
	HeaderTaskID = "triggerhook-task-id"
	// HeaderAttempt has the number of the attempt, from 1 on. It is not signed.
	HeaderAttempt = "triggerhook-attempt"
	// HeaderDue has the time at which the task was due, in RFC 3339 with milliseconds. It is not signed.
	HeaderDue = "triggerhook-due"
)

// Sender sends webhooks. It is safe for use by many goroutines at a time.
type Sender struct {
	o         Options
	targets   *targets
	keys      atomic.Pointer[keys]
	hosts     *hosts
	transport *http.Transport
	metrics   *metrics
}

// New checks all of o and returns a Sender. The error names each value that breaks a rule, and never a secret.
func New(o Options) (*Sender, error) {
	o = o.withDefaults()
	t, errTargets := newTargets(o)
	k, errKeys := parseKeys(o.Secrets)
	if err := errors.Join(o.check(), errTargets, errKeys); err != nil {
		return nil, fmt.Errorf("webhook options: %w", err)
	}
	s := &Sender{o: o, targets: t, metrics: newMetrics(o.Namespace)}
	s.keys.Store(k)
	var err error
	if s.hosts, err = newHosts(o, s.metrics.opened.Inc); err != nil {
		return nil, fmt.Errorf("webhook options: %w", err)
	}
	s.metrics.observe(s.hosts)
	s.transport = newTransport(o, t.guard)
	return s, nil
}

// newTargets reads the rules about targets.
func newTargets(o Options) (*targets, error) {
	allow, err1 := prefixes("AllowNets", o.AllowNets)
	deny, err2 := prefixes("DenyNets", o.DenyNets)
	only, err3 := hostPatterns("OnlyHosts", o.OnlyHosts)
	denyHosts, err4 := hostPatterns("DenyHosts", o.DenyHosts)
	var err5 error
	if slices.Contains(o.Ports, 0) {
		err5 = fmt.Errorf("%s has 0, want 1 to 65535", "Ports")
	}
	g := &guard{allow: allow, deny: deny, private: o.AllowPrivate}
	return &targets{guard: g, httpsOnly: o.HTTPSOnly, only: only, deny: denyHosts, ports: o.Ports}, errors.Join(err1, err2, err3, err4, err5)
}

// SetSecrets replaces Options.Secrets, for requests that begin after it returned. After an error the old ones stay.
func (s *Sender) SetSecrets(secrets []string) error {
	k, err := parseKeys(secrets)
	if err != nil {
		return fmt.Errorf("webhook secrets: %w", err)
	}
	s.keys.Store(k)
	return nil
}

// Handle sends d. It is a triggerhook.Handler: what it returns says what becomes of the task (the table of the package). Its errors name
// scheme, host and port of the target and no more of it, the status, and the first 200 bytes of the response's body.
func (s *Sender) Handle(ctx context.Context, d *triggerhook.Delivery) error {
	r, err := s.prepare(&d.Task)
	if err != nil {
		s.metrics.done(outcomeDiscarded)
		return fmt.Errorf("%w: %w", err, triggerhook.Discard("it can never be sent as it is"))
	}
	h := s.hosts.take(r.target.origin)
	defer s.hosts.give(h)
	done, later := h.admit(ctx)
	switch {
	case later != nil:
		s.metrics.done(later.outcome)
		return fmt.Errorf("webhook to %s: %s: %w", h.origin, later.why, triggerhook.Snooze(later.delay))
	case done == nil:
		s.metrics.done(outcomeEnded)
		return fmt.Errorf("webhook to %s: not sent: %w", h.origin, context.Cause(ctx))
	}
	a := answer{ofHost: errNotOfHost} // what a panic leaves
	defer func() { done(a.ofHost) }()
	a = s.send(ctx, d, r)
	s.metrics.done(a.outcome)
	return a.err
}

// Collector returns the metrics: one set for each Sender, with the namespace as a label.
func (s *Sender) Collector() prometheus.Collector { return s.metrics }

// Close closes connections that no request uses. Requests that run go on.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }
