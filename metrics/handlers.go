package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triggerhook/triggerhook"
)

// Handlers measures handlers: triggerhook_handler_seconds is how long they took, a histogram in
// both forms (with fixed buckets from 1 ms to 5 minutes, and native), with the labels namespace and outcome: "ok" (nil),
// "snoozed" (triggerhook.Snooze), "discarded" (triggerhook.Discard), "gone" (triggerhook.Gone), "error", or "panic" (it did not return: a panic or runtime.Goexit). It is a prometheus.Collector.
// One may serve several Schedulers; a registry takes one of each namespace.
type Handlers struct {
	seconds *prometheus.HistogramVec
}

// outcomes are all values of the label outcome.
var outcomes = [...]string{"ok", "snoozed", "discarded", "gone", "error", "panic"}

// NewHandlers returns a collector for the handlers of a namespace (Scheduler.Namespace, which
// is its label and nothing more). Register it, and put its Middleware into Options.Middleware.
func NewHandlers(namespace string) *Handlers {
	h := &Handlers{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "triggerhook_handler_seconds", Help: "How long handlers took, by how they ended.",
		ConstLabels:                 prometheus.Labels{"namespace": namespace},
		Buckets:                     []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60, 300},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"outcome"})}
	for _, o := range outcomes { // so that a rate of errors is 0, and not unknown, until the first one
		h.seconds.WithLabelValues(o)
	}
	return h
}

// Middleware measures what next takes. It is a triggerhook.Middleware. As the last in
// Options.Middleware it measures the handler alone; what stands before it is measured with none of them.
func (h *Handlers) Middleware(next triggerhook.Handler) triggerhook.Handler {
	return func(ctx context.Context, d *triggerhook.Delivery) (err error) {
		began, outcome := time.Now(), "panic"
		defer func() { h.seconds.WithLabelValues(outcome).Observe(time.Since(began).Seconds()) }()
		switch err = next(ctx, d); {
		case err == nil:
			outcome = "ok"
		case triggerhook.Snoozed(err):
			outcome = "snoozed"
		case triggerhook.Discarded(err):
			outcome = "discarded"
		case triggerhook.Gone(ctx, err):
			outcome = "gone"
		default:
			outcome = "error"
		}
		return err
	}
}

// Describe implements prometheus.Collector.
func (h *Handlers) Describe(to chan<- *prometheus.Desc) { h.seconds.Describe(to) }

// Collect implements prometheus.Collector.
func (h *Handlers) Collect(to chan<- prometheus.Metric) { h.seconds.Collect(to) }
