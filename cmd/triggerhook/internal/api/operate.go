package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
)

// readyWait is how long the stores may take to answer a probe.
const readyWait = 2 * time.Second

type noIn struct{}

type pauseIn struct {
	Body *struct {
		Until     time.Time `json:"until,omitzero" doc:"When the pause ends by itself; left out: only POST /v1/resume ends it."`
		Producers bool      `json:"producers,omitempty" doc:"No task is created meanwhile either: requests to create answer 503. Takes 2 s."`
	}
}

// pauseView tells whether webhooks are sent.
type pauseView struct {
	Paused    bool       `json:"paused"`
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"until,omitempty" doc:"When it ends by itself."`
	Producers bool       `json:"producers" doc:"No task is created either."`
}

type pauseOut struct{ Body pauseView }

// statsView are the figures of the namespace.
type statsView struct {
	At            time.Time `json:"at"`
	Tasks         int64     `json:"tasks" doc:"All unfinished tasks."`
	Estimated     bool      `json:"tasks_estimated" doc:"tasks is an estimate: there are more than 100,000."`
	Preloaded     int64     `json:"preloaded" doc:"In the hot set, waiting, due or not."`
	Due           int64     `json:"due" doc:"Those of preloaded that are due."`
	InFlight      int64     `json:"in_flight" doc:"Claimed by workers."`
	Dead          int64     `json:"dead"`
	DeadEstimated bool      `json:"dead_estimated"`
	Pause         pauseView `json:"pause"`
}

type statsOut struct{ Body statsView }

type forecastIn struct {
	Within []string `query:"within" default:"1m,5m,1h,24h" maxItems:"100" doc:"Times from now on, separated by commas."`
}

// forecastView is how many tasks fall due within a time from now.
type forecastView struct {
	Within    string `json:"within"`
	Tasks     int64  `json:"tasks"`
	Estimated bool   `json:"estimated"`
}

type forecastOut struct {
	Body struct {
		Forecast []forecastView `json:"forecast"`
	}
}

// endingView is how a task ended.
type endingView struct {
	ID        string     `json:"id"`
	How       string     `json:"how" enum:"confirmed,deleted,dead"`
	Created   time.Time  `json:"created"`
	Due       time.Time  `json:"due"`
	Delivered *time.Time `json:"delivered,omitempty"`
	Ended     time.Time  `json:"ended"`
	Attempts  int        `json:"attempts"`
	Worker    string     `json:"worker"`
	Reason    string     `json:"reason,omitempty"`
	LastError string     `json:"last_error,omitempty"`
}

type historyOut struct {
	Body struct {
		History []endingView `json:"history" doc:"The newest first, at most 100."`
	}
}

func (s *Server) operateRoutes() {
	register(s, tokens.Read, huma.Operation{OperationID: "get-history", Method: http.MethodGet, Path: "/v1/history/{id}", Summary: "Show how the tasks of an id ended",
		Description: "It is empty if none has ended, or the server keeps no history (--history)."}, s.history)
	register(s, tokens.Read, huma.Operation{OperationID: "get-pause", Method: http.MethodGet, Path: "/v1/pause", Summary: "Show whether webhooks are sent"}, s.getPause)
	register(s, tokens.Operate, huma.Operation{OperationID: "pause", Method: http.MethodPost, Path: "/v1/pause", Summary: "Send no webhook until resume",
		Description: "Of all servers of the namespace. What is being sent goes on. What falls due collects."}, s.pause)
	register(s, tokens.Operate, huma.Operation{OperationID: "resume", Method: http.MethodPost, Path: "/v1/resume", Summary: "End a pause"}, s.resume)
	register(s, tokens.Read, huma.Operation{OperationID: "get-stats", Method: http.MethodGet, Path: "/v1/stats", Summary: "Count tasks"}, s.stats)
	register(s, tokens.Read, huma.Operation{OperationID: "list-workers", Method: http.MethodGet, Path: "/v1/workers", Summary: "List the workers that are alive",
		Description: "With what each holds. Workers tell of themselves only while they are asked, so the first answer takes some 3 s, and those that follow within 15 s none."}, s.workers)
	register(s, tokens.Read, huma.Operation{OperationID: "get-forecast", Method: http.MethodGet, Path: "/v1/forecast", Summary: "Count tasks that fall due within some times"}, s.forecast)
}

func (s *Server) history(ctx context.Context, in *IDIn) (*historyOut, error) {
	all, err := s.Scheduler.History(ctx, in.ID)
	out := &historyOut{}
	out.Body.History = []endingView{}
	for _, e := range all {
		out.Body.History = append(out.Body.History, endingView{e.ID, e.How.String(), e.Created.UTC(), e.Due.UTC(), instant(e.Delivered), e.Ended.UTC(), e.Attempts, e.Worker, e.Reason, e.LastError})
	}
	return out, err
}

func showPause(p triggerhook.PauseStatus) pauseView {
	return pauseView{p.Paused(), instant(p.Since), instant(p.Until), p.Producers}
}

func (s *Server) getPause(ctx context.Context, _ *noIn) (*pauseOut, error) {
	all, err := s.Scheduler.Stats(ctx)
	return &pauseOut{showPause(all.Namespace.Pause)}, err
}

func (s *Server) pause(ctx context.Context, in *pauseIn) (*emptyOut, error) {
	o := triggerhook.PauseOptions{}
	if in.Body != nil {
		o.Until, o.Producers = in.Body.Until, in.Body.Producers
	}
	return nil, s.Scheduler.Pause(ctx, o)
}

func (s *Server) resume(ctx context.Context, _ *noIn) (*emptyOut, error) {
	return nil, s.Scheduler.Resume(ctx)
}

func (s *Server) stats(ctx context.Context, _ *noIn) (*statsOut, error) {
	all, err := s.Scheduler.Stats(ctx)
	n := all.Namespace
	return &statsOut{statsView{time.Now().UTC(), n.Tasks, n.Estimated, n.Preloaded, n.Due, n.InFlight, n.Dead, n.DeadEstimated, showPause(n.Pause)}}, err
}

func (s *Server) forecast(ctx context.Context, in *forecastIn) (*forecastOut, error) {
	var within []time.Duration
	for _, text := range in.Within {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return nil, invalid("within %.40q: want durations above 0, as 10m or 24h, separated by commas", text)
		}
		within = append(within, d)
	}
	all, err := s.Scheduler.Forecast(ctx, within...)
	out := &forecastOut{}
	for _, f := range all {
		out.Body.Forecast = append(out.Body.Forecast, forecastView{f.Within.String(), f.Tasks, f.Estimated})
	}
	return out, err
}

// health tells that the process lives.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// ready tells that requests can be served: both stores answer, and the server does not end.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		refuse(w, http.StatusServiceUnavailable, "draining", "the server is ending")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyWait)
	defer cancel()
	if _, err := s.Scheduler.Stats(ctx); err != nil {
		k := kindOf(err)
		s.Logger.Warn("not ready", "request", requestID(r.Context()), "err", err)
		refuse(w, http.StatusServiceUnavailable, k.name, k.detail)
		return
	}
	fmt.Fprintln(w, "ok")
}
