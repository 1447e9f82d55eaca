package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
)

// lateness is one histogram in both forms: with fixed buckets, and native. Each scraper takes
// what it understands, as of a prometheus.Histogram that has both.
type lateness struct {
	fixed, native prometheus.Metric
}

// newLateness makes the histogram from the counts of st.
func newLateness(desc *prometheus.Desc, st triggerhook.ProcessStats) (prometheus.Metric, error) {
	var n uint64
	buckets := make(map[float64]uint64, len(consumer.LatenessBounds))
	for i, v := range st.Lateness {
		n += v
		if i < len(consumer.LatenessBounds) {
			buckets[consumer.LatenessBounds[i].Seconds()] = n
		}
	}
	fixed, err := prometheus.NewConstHistogram(desc, n, st.LatenessSum.Seconds(), buckets)
	if err != nil {
		return nil, fmt.Errorf("lateness: %w", err)
	}
	native, err := prometheus.NewConstNativeHistogram(desc, n, st.LatenessSum.Seconds(), st.LatenessExp, nil, st.LatenessZero,
		consumer.LatenessSchema, consumer.LatenessZeroThreshold, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("lateness: %w", err)
	}
	return lateness{fixed, native}, nil
}

// Desc implements prometheus.Metric.
func (l lateness) Desc() *prometheus.Desc { return l.fixed.Desc() }

// Write implements prometheus.Metric.
func (l lateness) Write(to *dto.Metric) error {
	var native dto.Metric
	if err := l.native.Write(&native); err != nil {
		return fmt.Errorf("write the native histogram: %w", err)
	}
	if err := l.fixed.Write(to); err != nil {
		return fmt.Errorf("write the histogram: %w", err)
	}
	h, from := to.Histogram, native.Histogram
	h.Schema, h.ZeroThreshold, h.ZeroCount = from.Schema, from.ZeroThreshold, from.ZeroCount
	h.PositiveSpan, h.PositiveDelta = from.PositiveSpan, from.PositiveDelta
	return nil
}
