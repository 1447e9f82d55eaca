package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
)

const (
	// sampleEvery is how often the figures are read while a page is open.
	sampleEvery = time.Second
	// sampleTimeout is how long the stores may take for them.
	sampleTimeout = 5 * time.Second
)

// figures is what the hub asks of a Scheduler.
type figures interface {
	Stats(context.Context) (triggerhook.Stats, error)
	Forecast(context.Context, ...time.Duration) ([]triggerhook.Forecast, error)
	Partitions(context.Context) ([]triggerhook.PartitionInfo, error)
	Workers(context.Context) ([]triggerhook.WorkerInfo, error)
}

// sample is what was read at one moment. It is not changed afterwards.
type sample struct {
	at    time.Time
	stats triggerhook.Stats
	err   error  // why the figures of the namespace are not those of this moment
	fleet *fleet // what the workers told; nil: they were never asked
	load  *load  // nil: it was never read
}

// hub reads the figures for all viewers. While a viewer is there, one goroutine (sampler) reads them every second; the last viewer that
// leaves ends it. A page without live figures has them read by itself, if no sample is recent. The forecast is read by a goroutine of its
// own, which ends with it, so that a slow store does not hold up the other figures. So are the workers asked, who tell after some seconds.
type hub struct {
	source figures
	turn   chan struct{} // who has put an element in reads a sample

	mu      sync.Mutex // guards all below
	viewers map[chan struct{}]bool
	stop    context.CancelFunc // ends the sampler; nil: none runs
	last    *sample
	fleets  fleetReader
	loads   loader
}

func newHub(source figures) *hub {
	return &hub{source: source, turn: make(chan struct{}, 1), viewers: map[chan struct{}]bool{}}
}

// join registers a viewer. News has an element when a sample is new; leave ends it, and is called once.
func (h *hub) join() (news <-chan struct{}, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan struct{}, 1)
	h.viewers[c] = true
	if h.stop == nil {
		var ctx context.Context
		ctx, h.stop = context.WithCancel(context.Background())
		go h.sampler(ctx)
	}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.viewers, c); len(h.viewers) == 0 {
			h.stop()
			h.stop = nil
		}
	}
}

// sampler reads a sample every second until ctx ends.
func (h *hub) sampler(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		_, _ = h.look(ctx, 0) // what fails is in the sample
		h.tell()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell wakes all viewers.
func (h *hub) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.viewers {
		select {
		case c <- struct{}{}:
		default: // it has not looked at the one before yet
		}
	}
}

// current is the last sample, or nil.
func (h *hub) current() *sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// look returns a sample that is not older than that, and reads one if there is none. The error is ctx's.
func (h *hub) look(ctx context.Context, age time.Duration) (*sample, error) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s := h.current(); s != nil && time.Since(s.at) < age {
		return s, nil
	}
	limited, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	stats, err := h.source.Stats(limited)
	if ctx.Err() != nil {
		return nil, ctx.Err() // the failure says nothing about the stores
	}
	return h.add(stats, err, time.Now()), nil
}

// add makes a sample of what was read. Figures of the namespace that could not be read stay as they were.
func (h *hub) add(stats triggerhook.Stats, err error, now time.Time) *sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && h.last != nil {
		stats.Namespace = h.last.stats.Namespace
	}
	s := &sample{at: now, stats: stats, err: err}
	h.startAsking()
	s.fleet = h.fleets.last
	h.startLoading(now)
	s.load = h.loads.last
	h.last = s
	return s
}
