package dashboard

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook"
)

const (
	// minutes and quarters are the bars of the coming hour, of a minute each, and of the coming day, of a quarter of an hour each.
	minutes, quarters = 60, 96
	// loadTimeout is how long both forecasts may take, with what the partitions hold.
	loadTimeout = 20 * time.Second
	// loadEvery is how old a forecast becomes, at least. One that took long is read at most for a share of the time (loadShare).
	loadEvery = 5 * time.Second
	loadShare = 20
	// loadWait is how long a page waits for the first forecast.
	loadWait = 3 * time.Second
	// loadOld is the age from which on a page waits for a new one.
	loadOld = time.Minute
)

// load is what is to come. It is not changed after it was made.
type load struct {
	at        time.Time
	hour, day histogram
	err       error // why it could not be read; the histograms are those of before

	partitions []triggerhook.PartitionInfo
	silent     error // why some of the partitions have no figures
}

// histogram has how many tasks fall due in each step from at on.
type histogram struct {
	at        time.Time
	step      time.Duration
	counts    []int64
	estimated int // from this bar on the counts are estimates of the store; len(counts): none is
}

// loader is the state of reading forecasts. Under hub.mu.
type loader struct {
	last *load
	took time.Duration
	done chan struct{} // closed when the one that is being read has been; nil: none is
}

// startLoading has a forecast read if the last one is old. Under hub.mu.
func (h *hub) startLoading(now time.Time) {
	l := &h.loads
	if l.done != nil || l.last != nil && now.Sub(l.last.at) < max(loadEvery, loadShare*l.took) {
		return
	}
	l.done = make(chan struct{})
	go h.readLoad()
}

// readLoad reads a forecast. It ends by itself, because each read is bounded.
func (h *hub) readLoad() {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	began := time.Now()
	hour, err := h.read(ctx, time.Minute, minutes)
	day := histogram{}
	if err == nil {
		day, err = h.read(ctx, 15*time.Minute, quarters)
	}
	l := &load{hour: hour, day: day, err: err}
	l.partitions, l.silent = h.source.Partitions(ctx)
	l.at = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if before := h.loads.last; err != nil && before != nil {
		l.hour, l.day = before.hour, before.day
	}
	h.loads.last, h.loads.took = l, time.Since(began)
	close(h.loads.done)
	h.loads.done = nil
}

// read reads one histogram.
func (h *hub) read(ctx context.Context, step time.Duration, n int) (histogram, error) {
	within := make([]time.Duration, n)
	for i := range within {
		within[i] = time.Duration(i+1) * step
	}
	at := time.Now()
	all, err := h.source.Forecast(ctx, within...)
	if err != nil {
		return histogram{}, err
	}
	return histogramOf(at, step, all), nil
}

// histogramOf takes the differences of a forecast, the numbers of which never fall but where tasks were moved meanwhile.
func histogramOf(at time.Time, step time.Duration, all []triggerhook.Forecast) histogram {
	g := histogram{at: at, step: step, estimated: len(all)}
	before := int64(0)
	for i, f := range all {
		g.counts = append(g.counts, max(0, f.Tasks-before))
		before = max(before, f.Tasks)
		if f.Estimated {
			g.estimated = min(g.estimated, i)
		}
	}
	return g
}

// await waits a while for a forecast that is not old, for a page that is not live yet. It returns the last one in any case.
func (h *hub) await(ctx context.Context) *load {
	h.mu.Lock()
	last, done := h.loads.last, h.loads.done
	h.mu.Unlock()
	if done == nil || last != nil && time.Since(last.at) < loadOld {
		return last
	}
	timer := time.NewTimer(loadWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.loads.last
}
