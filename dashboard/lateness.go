package dashboard

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
)

const (
	// latenessSpan is how far back lateness is told, and slotSpan how far apart the samples are that are kept for it.
	latenessSpan = 15 * time.Minute
	slotSpan     = 10 * time.Second
	// mostSlots are how many samples are kept: those of the span, the one before, and the one that has begun.
	mostSlots = int(latenessSpan/slotSpan) + 2
)

// slot is the lateness histogram of the process as it was at a time, since the process began.
type slot struct {
	at   time.Time // zero: the beginning of the process
	zero uint64
	exp  map[int]int64
}

// latenessHistory keeps samples, the oldest first: at most mostSlots of them. Under hub.mu.
type latenessHistory struct{ slots []slot }

// lateness is how late the first deliveries of this process were.
type lateness struct {
	since     time.Time // zero: since the process began
	n         int64
	quantiles []quantile
	slots     []slotLateness // of the times between samples, oldest first
}

// quantile is the lateness that a share of the deliveries did not exceed.
type quantile struct {
	share float64
	late  time.Duration
}

// slotLateness is the lateness between two samples.
type slotLateness struct {
	at       time.Time // its end
	n        int64
	p50, p99 time.Duration
}

// shares are the quantiles that are told.
var shares = []float64{0.5, 0.9, 0.99, 0.999}

// add notes the counters of the process, and returns the lateness of the last 15 minutes. Where no page was open there are no samples: it goes
// back to the last one from before the span then, and says so; while there is none that is old enough, to the process's beginning.
func (l *latenessHistory) add(p triggerhook.ProcessStats, now time.Time) lateness {
	if len(l.slots) == 0 {
		l.slots = []slot{{}}
	}
	for len(l.slots) > 1 && (now.Sub(l.slots[1].at) >= latenessSpan || len(l.slots) >= mostSlots) {
		l.slots = l.slots[1:]
	}
	cur := slot{at: now, zero: p.LatenessZero, exp: p.LatenessExp}
	base := l.slots[0]
	out := lateness{since: base.at}
	counts := base.until(cur)
	out.n = counts.total()
	for _, share := range shares {
		out.quantiles = append(out.quantiles, quantile{share, counts.quantile(share)})
	}
	if last := l.slots[len(l.slots)-1]; now.Sub(last.at) >= slotSpan {
		l.slots = append(l.slots, cur)
	}
	for i := 1; i < len(l.slots); i++ {
		c := l.slots[i-1].until(l.slots[i])
		out.slots = append(out.slots, slotLateness{l.slots[i].at, c.total(), c.quantile(0.5), c.quantile(0.99)})
	}
	return out
}

// until returns what was counted between two samples.
func (s slot) until(later slot) slot {
	d := slot{zero: later.zero - min(s.zero, later.zero), exp: map[int]int64{}}
	for i, n := range later.exp {
		if more := n - s.exp[i]; more > 0 {
			d.exp[i] = more
		}
	}
	return d
}

func (s slot) total() int64 {
	n := int64(s.zero)
	for _, c := range s.exp {
		n += c
	}
	return n
}

// quantile returns a lateness that this share did not exceed, as exactly as the buckets tell it: within a bucket, the bounds of
// which are a factor of 1.09 apart, deliveries are taken to be spread evenly on a logarithmic scale.
func (s slot) quantile(share float64) time.Duration {
	rank := share * float64(s.total())
	seen := float64(s.zero)
	if rank <= seen {
		return 0
	}
	for _, i := range slices.Sorted(maps.Keys(s.exp)) {
		n := float64(s.exp[i])
		if seen+n >= rank {
			exponent := (float64(i) - 1 + (rank-seen)/n) / (1 << consumer.LatenessSchema)
			return time.Duration(math.Exp2(exponent) * float64(time.Second))
		}
		seen += n
	}
	return 0
}
