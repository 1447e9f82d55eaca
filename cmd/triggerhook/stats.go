package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

// statsJSON are the figures of a namespace.
type statsJSON struct {
	At            time.Time  `json:"at"`
	Tasks         int64      `json:"tasks"`
	Estimated     bool       `json:"tasks_estimated,omitempty"`
	Preloaded     int64      `json:"preloaded"`
	Due           int64      `json:"due"`
	InFlight      int64      `json:"in_flight"`
	Dead          int64      `json:"dead"`
	DeadEstimated bool       `json:"dead_estimated,omitempty"`
	Paused        *pauseJSON `json:"paused,omitempty"`
}

func (a *app) stats() *cobra.Command {
	var watch bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:     "stats",
		Short:   "Show how many tasks there are, and where they are in their lives",
		Example: "  triggerhook stats\n  triggerhook stats --watch --every 5s --json",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				if err := printStats(ctx, o, p); err != nil || !watch {
					return err
				}
				tick := time.NewTicker(max(every, time.Second))
				defer tick.Stop()
				for {
					select {
					case <-ctx.Done():
						return nil
					case <-tick.C:
					}
					if err := printStats(ctx, o, p); err != nil && ctx.Err() == nil {
						return err
					}
				}
			})
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until it is interrupted")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "with --watch: how often, at most once a second")
	return cmd
}

func printStats(ctx context.Context, o *opened, p *printer) error {
	s, err := o.Stats(ctx)
	if err != nil {
		return err
	}
	n := s.Namespace
	j := statsJSON{time.Now().UTC(), n.Tasks, n.Estimated, n.Preloaded, n.Due, n.InFlight, n.Dead, n.DeadEstimated, ofPause(n.Pause)}
	err = p.print(j, "AT\tTASKS\tPRELOADED\tDUE\tIN FLIGHT\tDEAD\tPAUSED", stamp(j.At), about(n.Tasks, n.Estimated), about(n.Preloaded, false),
		about(n.Due, false), about(n.InFlight, false), about(n.Dead, n.DeadEstimated), pauseText(n.Pause))
	if err != nil {
		return err
	}
	return p.flush()
}

// about is a number for people, with a mark if it is an estimate.
func about(n int64, estimated bool) string {
	if estimated {
		return "~" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

// forecastJSON is one row of a forecast.
type forecastJSON struct {
	Within    string `json:"within"`
	Tasks     int64  `json:"tasks"`
	Estimated bool   `json:"estimated,omitempty"`
}

func (a *app) forecast() *cobra.Command {
	within := []time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}
	cmd := &cobra.Command{
		Use:     "forecast",
		Short:   "Show how many tasks fall due within some times from now",
		Example: "  triggerhook forecast --within 10m,1h,168h",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				all, err := o.Forecast(ctx, within...)
				if err != nil {
					return err
				}
				for _, f := range all {
					if err := p.print(forecastOf(f), "WITHIN\tTASKS", f.Within.String(), about(f.Tasks, f.Estimated)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().DurationSliceVar(&within, "within", within, "times from now on")
	return cmd
}

func forecastOf(f triggerhook.Forecast) forecastJSON {
	return forecastJSON{f.Within.String(), f.Tasks, f.Estimated}
}
