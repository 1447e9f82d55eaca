package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// figures are the metrics of the HTTP server.
type figures struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newFigures() *figures {
	return &figures{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "triggerhook_http_requests_total",
			Help: "Requests of the HTTP API that were answered, by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "triggerhook_http_request_seconds",
			Help:    "How long requests of the HTTP API took, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "triggerhook_http_requests_in_flight",
			Help: "Requests of the HTTP API that are being answered."}),
	}
}

// count counts an answered request. A route is a pattern, so there are as many as the API has; "none" is none of them.
func (f *figures) count(x *exchange, took time.Duration) {
	f.requests.WithLabelValues(x.route, strconv.Itoa(x.status)).Inc()
	f.seconds.WithLabelValues(x.route).Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (f *figures) Describe(to chan<- *prometheus.Desc) {
	f.requests.Describe(to)
	f.seconds.Describe(to)
	f.inFlight.Describe(to)
}

// Collect implements prometheus.Collector.
func (f *figures) Collect(to chan<- prometheus.Metric) {
	f.requests.Collect(to)
	f.seconds.Collect(to)
	f.inFlight.Collect(to)
}
