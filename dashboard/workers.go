package dashboard

import (
	"context"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// workersTimeout is how long it may take to ask the workers, of which the first time takes some seconds.
const workersTimeout = 10 * time.Second

// fleet is what all workers told. It is not changed after it was made.
type fleet struct {
	throughput.Figures
	at       time.Time // zero: nothing was read yet
	err      error     // why the figures, or those of a worker, are not those of this moment
	lateness lateness
}

// fleetReader is the state of asking the workers. Under hub.mu.
type fleetReader struct {
	meter   throughput.Meter
	history latenessHistory
	last    *fleet
	asking  bool
}

// startAsking has the workers asked, unless they are. Under hub.mu.
func (h *hub) startAsking() {
	if !h.fleets.asking {
		h.fleets.asking = true
		go h.askWorkers()
	}
}

// askWorkers asks the workers once. It ends by itself, because the time for it is bounded.
func (h *hub) askWorkers() {
	ctx, cancel := context.WithTimeout(context.Background(), workersTimeout)
	defer cancel()
	workers, err := h.source.Workers(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	r, now := &h.fleets, time.Now()
	next := &fleet{err: err}
	if err == nil || len(workers) > 0 {
		next.Figures, next.at = r.meter.Add(now, workers), now
		next.lateness = r.history.add(next.Lateness, now)
	} else if before := r.last; before != nil {
		next.Figures, next.at, next.lateness = before.Figures, before.at, before.lateness
	}
	r.last, r.asking = next, false
}

// mostWorkers is how many workers a page shows.
const mostWorkers = 100

// workersView is what the workers hold and do.
type workersView struct {
	Error  string
	Asking bool // they have not told yet
	Count  string
	More   string // how many are not shown; empty: none
	Rows   []workerRow
}

// workerRow is one of them.
type workerRow struct {
	ID, Name, Roles                   string
	Unread                            bool
	Started, Seen                     time.Time
	Queued, Hand, Confirming, Stuck   string
	IsStuck                           bool
	Delivered, Confirmed, Failed, Off string
}

func workersOf(f *fleet) workersView {
	if f == nil {
		return workersView{Asking: true}
	}
	v := workersView{Asking: f.at.IsZero(), Count: num(len(f.Workers))}
	if f.err != nil {
		v.Error = f.err.Error()
	}
	for _, w := range f.Workers[:min(len(f.Workers), mostWorkers)] {
		row := workerRow{ID: w.ID, Name: w.Name, Roles: strings.Join(w.Roles, ", "), Unread: w.Started.IsZero(), Started: w.Started, Seen: w.Seen,
			Queued: num(w.Stats.Queued), Hand: num(w.Stats.InHand), Confirming: num(w.Stats.Confirming), Stuck: num(w.Stats.Stuck), IsStuck: w.Stats.Stuck > 0,
			Delivered: "–", Confirmed: "–", Failed: "–", Off: clockOffset(w.Stats.ClockOffset)}
		if w.Known {
			row.Delivered, row.Confirmed, row.Failed = rate(w.Rates.Delivered), rate(w.Rates.Confirmed), rate(w.Rates.Failed)
		}
		v.Rows = append(v.Rows, row)
	}
	if n := len(f.Workers) - mostWorkers; n > 0 {
		v.More = num(n)
	}
	return v
}

// clockOffset is by how much a clock differs from the hot set's; empty: by little.
func clockOffset(o time.Duration) string {
	if o > time.Second || o < -time.Second {
		return o.Round(10 * time.Millisecond).String()
	}
	return ""
}

// feeder is the name of the worker that fills the hot set; empty: none is known.
func feeder(f *fleet) string {
	if f == nil {
		return ""
	}
	for _, w := range f.Workers {
		for _, role := range w.Roles {
			if role == "feeder" {
				return w.Name
			}
		}
	}
	return ""
}
