package api

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// workerView is a worker that is alive.
type workerView struct {
	ID         string     `json:"id" doc:"No other worker has, or ever had, the same."`
	Name       string     `json:"name"`
	Started    *time.Time `json:"started,omitempty" doc:"Left out where what it tells cannot be read, because it is of another version."`
	Seen       time.Time  `json:"seen" doc:"When it told of itself last."`
	Roles      []string   `json:"roles" doc:"The background roles that it has: feeder, reaper, auditor. The feeder fills the hot set."`
	Queued     int64      `json:"queued" doc:"Tasks that it has claimed, and that wait to be sent."`
	InHand     int64      `json:"in_hand" doc:"Tasks that it is sending."`
	Confirming int64      `json:"confirming" doc:"Tasks that were sent, and wait for the stores."`
	Stuck      int64      `json:"stuck" doc:"Handlers that have run for longer than they may."`
	Created    uint64     `json:"created" doc:"Since it started, as all that follows."`
	Delivered  uint64     `json:"delivered"`
	Confirmed  uint64     `json:"confirmed"`
	Failed     uint64     `json:"failed" doc:"Deliveries that failed."`
	Dead       uint64     `json:"dead" doc:"Tasks that became dead letters."`
}

type workersOut struct {
	Body struct {
		Workers []workerView `json:"workers" doc:"At most 1000."`
	}
}

// workers shows the workers. If one of them cannot be read, the others are shown, and that one without figures.
func (s *Server) workers(ctx context.Context, _ *noIn) (*workersOut, error) {
	all, err := s.Scheduler.Workers(ctx)
	if err != nil && len(all) > 0 {
		s.Logger.Warn("a worker cannot be read", "request", requestID(ctx), "err", err)
		err = nil
	}
	out := &workersOut{}
	out.Body.Workers = []workerView{}
	for _, w := range all {
		n, c := w.Stats, throughput.CountersOf(w.Stats)
		out.Body.Workers = append(out.Body.Workers, workerView{w.ID, w.Name, instant(w.Started), w.Seen.UTC(), append([]string{}, w.Roles...), n.Queued, n.InHand, n.Confirming, n.Stuck,
			c.Created, c.Delivered, c.Confirmed, c.Failed, c.Dead})
	}
	return out, err
}
