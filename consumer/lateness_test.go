package consumer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The exponential buckets are those of a native histogram of Prometheus' own.
func TestLatenessHasTheBucketsOfANativeHistogram(t *testing.T) {
	all := []time.Duration{954, 955, 1000, time.Microsecond, time.Millisecond, 500 * time.Millisecond, time.Second, time.Second + 1, 2 * time.Second, time.Hour, 100 * 24 * time.Hour}
	for range 2000 {
		all = append(all, time.Duration(math.Exp2(10+43*rand.Float64())))
	}
	for _, late := range all {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x", NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: LatenessZeroThreshold})
		h.Observe(late.Seconds())
		var m dto.Metric
		if err := h.Write(&m); err != nil {
			t.Fatal(err)
		}
		if m.Histogram.GetSchema() != LatenessSchema || len(m.Histogram.PositiveSpan) != 1 {
			t.Fatalf("the reference has schema %d and spans %v for %s", m.Histogram.GetSchema(), m.Histogram.PositiveSpan, late)
		}
		if got, ok := exponential(late); !ok || got != int(m.Histogram.PositiveSpan[0].GetOffset()) {
			t.Errorf("%s is in bucket %d, %v; want %d", late, got, ok, m.Histogram.PositiveSpan[0].GetOffset())
		}
	}
}

// Both histograms count each delivery once, whatever its lateness: negative, on a bound, or beyond all bounds.
func TestLatenessCountsEachDeliveryTwice(t *testing.T) {
	var l lateness
	var sum time.Duration
	all := []time.Duration{-time.Hour, 0, 1, 953, 100 * time.Microsecond, 100*time.Microsecond + 1, 400 * time.Microsecond, time.Millisecond, time.Hour, time.Hour + 1, math.MaxInt64 >> 4}
	for _, late := range all {
		l.add(late)
		sum += max(late, 0)
	}
	var f Figures
	l.fill(&f)
	for i, want := range map[int]uint64{0: 5, 1: 1, 2: 1, 3: 1, len(LatenessBounds) - 1: 1, len(LatenessBounds): 2} {
		if f.Lateness[i] != want {
			t.Errorf("fixed bucket %d holds %d, want %d", i, f.Lateness[i], want)
		}
	}
	n := int64(f.LatenessZero)
	for _, v := range f.LatenessExp {
		n += v
	}
	if n != int64(len(all)) || f.LatenessZero != 4 || f.LatenessExp[lastExp] != 1 || f.LatenessSum != sum {
		t.Errorf("exponential buckets hold %d, %d of them zero, %d the last, sum %s; want %d, 4, 1 and %s", n, f.LatenessZero, f.LatenessExp[lastExp], f.LatenessSum, len(all), sum)
	}
}
