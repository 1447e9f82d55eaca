package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/top"
)

func (a *app) top() *cobra.Command {
	var every time.Duration
	var frame string
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the namespace live in a terminal",
		Long: `top shows how many tasks are at each place of their lives, what the workers do in a second and how late they deliver, what each worker holds, and what
falls due in each minute of the coming hour. No key changes anything: q ends it, + and - change the interval.

Workers tell of themselves only while they are asked, so their figures come after some 3 s, and rates after 6.
Without a terminal use "triggerhook stats --watch", or --frame for one picture as plain text.`,
		Example: "  triggerhook top --every 5s\n  triggerhook top --frame 80x24",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < time.Second || every > time.Hour {
				return usageError{fmt.Errorf("--every %s: want 1s to 1h", every)}
			}
			size, err := sizeOf(frame)
			if err != nil {
				return err
			}
			out, is := cmd.OutOrStdout().(*os.File)
			if frame == "" && (!is || !term.IsTerminal(out.Fd())) {
				return usageError{errors.New(`top: standard output is no terminal; use "triggerhook stats --watch", or --frame 80x24`)}
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				ctx, stop := context.WithCancel(ctx)
				defer stop() // ends the wait for the next read
				model := top.New(ctx, o.Namespace()+" on "+redacted(a.store)+", "+redacted(a.hot), every, o.snapshot, o.Workers)
				if frame != "" {
					return printFrame(p, model, size)
				}
				_, err := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(cmd.InOrStdin()), tea.WithOutput(out)).Run()
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "how often it reads")
	cmd.Flags().StringVar(&frame, "frame", "", "print one picture of COLUMNSxROWS as plain text, and end")
	return cmd
}

// sizeOf reads "COLUMNSxROWS".
func sizeOf(frame string) (size tea.WindowSizeMsg, err error) {
	if frame == "" {
		return size, nil
	}
	n, err := fmt.Sscanf(frame, "%dx%d", &size.Width, &size.Height)
	if err != nil || n != 2 || frame != fmt.Sprintf("%dx%d", size.Width, size.Height) || size.Width < 20 || size.Height < 5 || size.Width > 1000 || size.Height > 1000 {
		return size, usageError{fmt.Errorf("--frame %q: want COLUMNSxROWS, at least 20x5 and at most 1000x1000", frame)}
	}
	return size, nil
}

// printFrame prints what the terminal would show after some seconds.
func printFrame(p *printer, m top.Model, size tea.WindowSizeMsg) error {
	sized, _ := m.Update(size)
	m, failed := top.Once(sized.(top.Model))
	if _, err := fmt.Fprint(p.out, top.Plain(m)); err != nil {
		return err
	}
	return failed
}

// snapshot reads what top shows.
func (o *opened) snapshot(ctx context.Context) (s top.Snapshot, err error) {
	stats, err := o.Stats(ctx)
	if err != nil {
		return s, err
	}
	within := make([]time.Duration, top.Minutes)
	for i := range within {
		within[i] = time.Duration(i+1) * time.Minute
	}
	s.At, s.Stats = time.Now(), stats.Namespace
	if s.Within, err = o.Forecast(ctx, within...); err != nil {
		return s, err
	}
	s.Late, err = o.oldest(ctx)
	return s, err
}

// oldest is how late the oldest task is that waits to be claimed, by the clock of the hot set.
func (o *opened) oldest(ctx context.Context) (late time.Duration, err error) {
	for p := range o.set.Config().Partitions {
		st, err := o.set.State(ctx, p)
		if err != nil {
			return 0, err
		}
		if now := st.AsOf.TimeUS / 1000; st.OldestMS > 0 && now > st.OldestMS {
			late = max(late, time.Duration(now-st.OldestMS)*time.Millisecond)
		}
	}
	return late, nil
}
