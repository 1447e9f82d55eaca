package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

// manyFlags are the flags of commands that change all tasks of a filter.
type manyFlags struct {
	filterFlags
	all, dryRun bool
}

func (m *manyFlags) register(cmd *cobra.Command) {
	m.filterFlags.register(cmd)
	cmd.Flags().BoolVar(&m.all, "all", false, "all tasks of the namespace, if no filter is given")
	cmd.Flags().BoolVar(&m.dryRun, "dry-run", false, "change nothing, and count what matches")
}

// check refuses what names tasks both by ID and by a filter, or by neither.
func (m *manyFlags) check(cmd *cobra.Command, ids int) error {
	many := m.given() || m.all
	switch {
	case ids > 0 && (many || m.dryRun):
		return usageError{fmt.Errorf("%s: give IDs, or a filter, and not both; --dry-run is for a filter", cmd.Name())}
	case ids == 0 && !many:
		return usageError{fmt.Errorf("%s: give an ID, or a filter (--prefix, --due-from, --due-before, --header), or --all", cmd.Name())}
	}
	return nil
}

// options are those of a call that changes many. It tells progress on standard error, about once a second.
func (m *manyFlags) options(cmd *cobra.Command) triggerhook.WhereOptions {
	last := time.Now()
	return triggerhook.WhereOptions{All: m.all, DryRun: m.dryRun, Progress: func(done int) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(cmd.ErrOrStderr(), "triggerhook: %d so far\n", done)
	}}
}

// whereJSON is the result of a command that changes many.
type whereJSON struct {
	Matched int  `json:"matched"`
	Changed int  `json:"changed"`
	Claimed int  `json:"claimed"`
	Refused int  `json:"refused,omitempty"`
	DryRun  bool `json:"dry_run,omitempty"`
}

// where prints what was done, also if it ended early.
func (m *manyFlags) where(p *printer, r triggerhook.WhereResult, err error) error {
	printed := p.print(whereJSON{r.Matched, r.Changed, r.Claimed, r.Refused, m.dryRun}, "MATCHED\tCHANGED\tCLAIMED\tREFUSED",
		strconv.Itoa(r.Matched), strconv.Itoa(r.Changed), strconv.Itoa(r.Claimed), strconv.Itoa(r.Refused))
	return errors.Join(err, printed)
}

func (a *app) delete() *cobra.Command {
	var m manyFlags
	cmd := &cobra.Command{
		Use:   "delete [ID...]",
		Short: "Delete tasks, by ID or all of a filter",
		Long: `delete deletes tasks, so that they are not delivered. Exit code 3 names the IDs that were not found, the others are deleted.
Exit code 5 names those that a worker had claimed before: they are deleted, but the one delivery under way may still happen.`,
		Example: "  triggerhook delete reminder-7 reminder-8\n  triggerhook delete --prefix customer-42/ --dry-run",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := m.check(cmd, len(ids)); err != nil {
				return err
			}
			f, err := m.filter()
			if err != nil {
				return err
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				if len(ids) > 0 {
					return o.Delete(ctx, ids...)
				}
				r, err := o.DeleteWhere(ctx, f, m.options(cmd))
				return m.where(p, r, err)
			})
		},
	}
	m.register(cmd)
	return cmd
}

func (a *app) reschedule() *cobra.Command {
	var m manyFlags
	var to instantFlag
	var by time.Duration
	cmd := &cobra.Command{
		Use:     "reschedule [ID] --to TIME | --by DURATION",
		Short:   "Move a task, or all of a filter, to another time",
		Example: "  triggerhook reschedule reminder-7 --to 2026-12-24T18:00:00Z\n  triggerhook reschedule --prefix customer-42/ --by 1h --dry-run",
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := m.check(cmd, len(ids)); err != nil {
				return err
			}
			switch {
			case len(ids) > 1:
				return usageError{fmt.Errorf("reschedule takes one ID; got %d", len(ids))}
			case len(ids) == 1 && to.IsZero():
				return usageError{errors.New("reschedule of one task needs --to; --by is for a filter")}
			}
			f, err := m.filter()
			if err != nil {
				return err
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				if len(ids) > 0 {
					return o.Reschedule(ctx, ids[0], to.Time)
				}
				r, err := o.RescheduleWhere(ctx, f, triggerhook.Shift{By: by, To: to.Time}, m.options(cmd))
				return m.where(p, r, err)
			})
		},
	}
	m.register(cmd)
	cmd.Flags().Var(&to, "to", "the new time")
	cmd.Flags().DurationVar(&by, "by", 0, "later by this, or earlier if it is negative")
	cmd.MarkFlagsMutuallyExclusive("to", "by")
	cmd.MarkFlagsOneRequired("to", "by")
	return cmd
}

func (a *app) update() *cobra.Command {
	var (
		due     instantFlag
		payload payloadFlags
		keys    []string
		bare    bool
	)
	cmd := &cobra.Command{
		Use:     "update ID",
		Short:   "Change the time, the payload or the headers of a task",
		Example: "  triggerhook update reminder-7 --payload '{\"user\":8}' --due 1h\n  triggerhook update reminder-7 --no-headers",
		Args:    exactly(1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := triggerhook.Change{Due: due.Time}
			var err error
			if c.Headers, err = headers(keys); err != nil {
				return err
			}
			if bare {
				c.Headers = map[string]string{}
			}
			if payload.given(cmd) {
				if c.Payload, err = payload.read(cmd); err != nil {
					return err
				}
			}
			return a.run(cmd, func(ctx context.Context, o *opened, _ *printer) error { return o.Update(ctx, args[0], c) })
		},
	}
	payload.register(cmd)
	cmd.Flags().Var(&due, "due", "the new due time")
	cmd.Flags().StringArrayVar(&keys, "header", nil, "the new headers, all of them, as KEY=VALUE; may be repeated")
	cmd.Flags().BoolVar(&bare, "no-headers", false, "take all headers away")
	cmd.MarkFlagsMutuallyExclusive("header", "no-headers")
	return cmd
}
