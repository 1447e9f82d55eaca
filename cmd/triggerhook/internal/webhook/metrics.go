package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Values of the label outcome of triggerhook_webhook_deliveries_total.
const (
	outcomeConfirmed  = "confirmed"   // 2xx
	outcomeDiscarded  = "discarded"   // 410, or the task can never be sent
	outcomeRetryAfter = "retry_after" // 429 or 503 with Retry-After
	outcomeFailed     = "failed"      // another status, or no connection
	outcomeTimeout    = "timeout"     // no response in time
	outcomeRefused    = "refused"     // the guard refused the address
	outcomeBusy       = "busy"        // postponed: PerHost requests ran
	outcomeOpen       = "open"        // postponed: the circuit is open
	outcomeEnded      = "ended"       // the delivery ended before the response came
)

var (
	outcomes = []string{outcomeConfirmed, outcomeDiscarded, outcomeRetryAfter, outcomeFailed, outcomeTimeout, outcomeRefused, outcomeBusy, outcomeOpen, outcomeEnded}
	statuses = []string{"2xx", "3xx", "4xx", "5xx", "timeout", "error"}
)

// metrics is the Collector of a Sender. No label has a host or an ID in it, so there are few series.
type metrics struct {
	deliveries *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	opened     prometheus.Counter
	namespace  prometheus.Labels
	all        []prometheus.Collector
}

// newMetrics returns metrics with all series at zero.
func newMetrics(namespace string) *metrics {
	l := prometheus.Labels{"namespace": namespace}
	m := &metrics{namespace: l,
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "triggerhook_webhook_deliveries_total", ConstLabels: l,
			Help: "Deliveries of tasks to the webhook sender, by what became of them."}, []string{"outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "triggerhook_webhook_request_seconds", ConstLabels: l,
			Help: "How long requests took, by the class of the response's status.", Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour}, []string{"status"}),
		opened: prometheus.NewCounter(prometheus.CounterOpts{Name: "triggerhook_webhook_circuits_opened_total", ConstLabels: l, Help: "How often the circuit of a host has opened."}),
	}
	for _, o := range outcomes { // so that a rate is 0, and not unknown, until the first one
		m.deliveries.WithLabelValues(o)
	}
	for _, s := range statuses {
		m.seconds.WithLabelValues(s)
	}
	m.all = []prometheus.Collector{m.deliveries, m.seconds, m.opened}
	return m
}

// observe adds the gauges of h.
func (m *metrics) observe(h *hosts) {
	gauge := func(name, help string, value func() int) {
		m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: m.namespace}, func() float64 { return float64(value()) }))
	}
	gauge("triggerhook_webhook_hosts", "Hosts that are remembered.", func() int { known, _, _ := h.count(); return known })
	gauge("triggerhook_webhook_circuits_open", "Hosts whose circuit is open or half open.", func() int { _, open, _ := h.count(); return open })
	gauge("triggerhook_webhook_in_flight", "Requests that run.", func() int { _, _, running := h.count(); return running })
}

// done counts a delivery.
func (m *metrics) done(outcome string) { m.deliveries.WithLabelValues(outcome).Inc() }

// took observes a request.
func (m *metrics) took(status string, began time.Time) {
	m.seconds.WithLabelValues(status).Observe(time.Since(began).Seconds())
}

// class is the class of a status.
func class(status int) string {
	if status < 200 || status > 599 {
		return "error"
	}
	return statuses[status/100-2]
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(to)
	}
}
