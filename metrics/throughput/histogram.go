package throughput

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
)

// Histogram is how late first deliveries were, in the buckets of consumer.Figures.LatenessExp. It is not changed after it was made.
type Histogram struct {
	Zero uint64        // as LatenessZero
	Exp  map[int]int64 // as LatenessExp
}

// HistogramOf is the histogram of a process.
func HistogramOf(p triggerhook.ProcessStats) Histogram {
	return Histogram{p.LatenessZero, p.LatenessExp}
}

// Since returns what was counted since an earlier time. A bucket never has less than it had; one that does all the same has counted nothing.
func (h Histogram) Since(before Histogram) Histogram {
	d := Histogram{Zero: grown(before.Zero, h.Zero), Exp: map[int]int64{}}
	for i, n := range h.Exp {
		if more := n - before.Exp[i]; more > 0 {
			d.Exp[i] = more
		}
	}
	return d
}

// plus returns the sum. It takes over h.
func (h Histogram) plus(o Histogram) Histogram {
	if h.Exp == nil {
		h.Exp = map[int]int64{}
	}
	h.Zero += o.Zero
	for i, n := range o.Exp {
		h.Exp[i] += n
	}
	return h
}

func (h Histogram) clone() Histogram { return Histogram{h.Zero, maps.Clone(h.Exp)} }

// Count is how many deliveries there are.
func (h Histogram) Count() int64 {
	n := int64(h.Zero)
	for _, c := range h.Exp {
		n += c
	}
	return n
}

// Quantile returns a lateness that this share of the deliveries did not exceed, within 9 % of the truth, and 0 if there are none: within a bucket, the
// bounds of which are a factor of 1.09 apart, deliveries are taken to be spread evenly on a logarithmic scale.
func (h Histogram) Quantile(share float64) time.Duration {
	rank := share * float64(h.Count())
	seen := float64(h.Zero)
	if rank <= seen {
		return 0
	}
	for _, i := range slices.Sorted(maps.Keys(h.Exp)) {
		n := float64(h.Exp[i])
		if seen+n >= rank {
			exponent := (float64(i) - 1 + (rank-seen)/n) / (1 << consumer.LatenessSchema)
			return time.Duration(math.Exp2(exponent) * float64(time.Second))
		}
		seen += n
	}
	return 0
}
