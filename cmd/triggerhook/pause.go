package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

func (a *app) pause() *cobra.Command {
	var until instantFlag
	var producers bool
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Have no task delivered, by any worker, until resume",
		Long: `pause has no task of the namespace delivered, by any worker, until resume or --until. Deliveries that have begun go on. It survives restarts of
workers and of Redis. To drain before maintenance: pause, and wait until "stats" shows nothing in flight.`,
		Example: "  triggerhook pause --until 30m\n  triggerhook pause --producers",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, _ *printer) error {
				return o.Pause(ctx, triggerhook.PauseOptions{Until: until.Time, Producers: producers})
			})
		},
	}
	cmd.Flags().Var(&until, "until", "end the pause by itself at this time")
	cmd.Flags().BoolVar(&producers, "producers", false, "refuse to create tasks, too; takes 2 s")
	return cmd
}

func (a *app) resume() *cobra.Command {
	return &cobra.Command{
		Use:     "resume",
		Short:   "End a pause",
		Example: "  triggerhook resume",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, _ *printer) error { return o.Resume(ctx) })
		},
	}
}

// pauseJSON is a pause in the output of stats.
type pauseJSON struct {
	Since     time.Time  `json:"since"`
	Until     *time.Time `json:"until,omitempty"`
	Producers bool       `json:"producers"`
}

// ofPause is nil if nothing is paused.
func ofPause(p triggerhook.PauseStatus) *pauseJSON {
	if !p.Paused() {
		return nil
	}
	return &pauseJSON{p.Since, instant(p.Until), p.Producers}
}

// pauseText is a pause for people.
func pauseText(p triggerhook.PauseStatus) string {
	if !p.Paused() {
		return "no"
	}
	return "since " + stamp(p.Since) + ", until " + stamp(p.Until) + ", producers " + strconv.FormatBool(p.Producers)
}
