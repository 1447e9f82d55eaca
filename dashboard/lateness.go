package dashboard

import (
	"time"

	"github.com/triggerhook/triggerhook/metrics/throughput"
)

const (
	// latenessSpan is how far back lateness is told, and slotSpan how far apart the samples are that are kept for it.
	latenessSpan = 15 * time.Minute
	slotSpan     = 10 * time.Second
	// mostSlots are how many samples are kept: those of the span, the one before, and the one that has begun.
	mostSlots = int(latenessSpan/slotSpan) + 2
)

// slot is the lateness histogram of the workers as it was at a time, since they began.
type slot struct {
	at time.Time // zero: their beginning
	throughput.Histogram
}

// latenessHistory keeps samples, the oldest first: at most mostSlots of them. Under hub.mu.
type latenessHistory struct{ slots []slot }

// lateness is how late the first deliveries of the workers were.
type lateness struct {
	since     time.Time // zero: since the workers began
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

// add notes the histogram of the workers, and returns the lateness of the last 15 minutes. Where no page was open there are no samples: it goes
// back to the last one from before the span then, and says so; while there is none that is old enough, to the beginning of the workers.
func (l *latenessHistory) add(h throughput.Histogram, now time.Time) lateness {
	if len(l.slots) == 0 {
		l.slots = []slot{{}}
	}
	for len(l.slots) > 1 && (now.Sub(l.slots[1].at) >= latenessSpan || len(l.slots) >= mostSlots) {
		l.slots = l.slots[1:]
	}
	cur := slot{now, h}
	base := l.slots[0]
	out := lateness{since: base.at}
	counts := cur.Since(base.Histogram)
	out.n = counts.Count()
	for _, share := range shares {
		out.quantiles = append(out.quantiles, quantile{share, counts.Quantile(share)})
	}
	if last := l.slots[len(l.slots)-1]; now.Sub(last.at) >= slotSpan {
		l.slots = append(l.slots, cur)
	}
	for i := 1; i < len(l.slots); i++ {
		c := l.slots[i].Since(l.slots[i-1].Histogram)
		out.slots = append(out.slots, slotLateness{l.slots[i].at, c.Count(), c.Quantile(0.5), c.Quantile(0.99)})
	}
	return out
}
