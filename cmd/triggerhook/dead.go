package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

func (a *app) deadLetters() *cobra.Command {
	cmd := &cobra.Command{Use: "dead", Short: "List dead letters, make tasks of them again, or delete the old ones"}
	cmd.AddCommand(a.deadList(), a.deadRequeue(), a.deadPurge())
	return cmd
}

// deadFlags are the flags by which commands select dead letters.
type deadFlags struct {
	prefix, reason string
	from, before   instantFlag
}

func (f *deadFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.prefix, "prefix", "", "dead letters whose ID begins with this")
	cmd.Flags().StringVar(&f.reason, "reason", "", "dead letters whose reason begins with this: expired, attempts, discarded")
	cmd.Flags().Var(&f.from, "died-from", "dead letters that died at this time or later")
	cmd.Flags().Var(&f.before, "died-before", "dead letters that died before this time")
}

func (f *deadFlags) filter() triggerhook.DeadFilter {
	return triggerhook.DeadFilter{IDPrefix: f.prefix, Reason: f.reason, DeadFrom: f.from.Time, DeadBefore: f.before.Time}
}

func (f *deadFlags) given() bool { return f.filter() != triggerhook.DeadFilter{} }

func (a *app) deadList() *cobra.Command {
	var f deadFlags
	var l listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters in the order in which they died",
		Example: "  triggerhook dead list --died-from -24h\n  triggerhook dead list --reason discarded --json --payloads",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				return list(p, l, o.ListDead(ctx, f.filter()), p.dead)
			})
		},
	}
	f.register(cmd)
	l.register(cmd)
	return cmd
}

func (a *app) deadRequeue() *cobra.Command {
	var f deadFlags
	var due instantFlag
	var rate float64
	var all bool
	cmd := &cobra.Command{
		Use:   "requeue [ID]",
		Short: "Make tasks of dead letters again: one, or all of a filter",
		Example: `  triggerhook dead requeue order-12
  triggerhook dead requeue --reason attempts --died-from -2h --rate 50`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			switch {
			case len(ids) > 1:
				return usageError{fmt.Errorf("dead requeue takes one ID; got %d", len(ids))}
			case len(ids) == 1 && (f.given() || all || rate != 0):
				return usageError{errors.New("dead requeue: give an ID, or a filter, and not both; --rate is for a filter")}
			case len(ids) == 0 && !f.given() && !all:
				return usageError{errors.New("dead requeue: give an ID, a filter (--prefix, --reason, --died-from, --died-before), or --all")}
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				if len(ids) == 1 {
					return o.Requeue(ctx, ids[0], due.Time)
				}
				n, err := o.RequeueDead(ctx, f.filter(), triggerhook.RequeueOptions{Due: due.Time, Rate: rate})
				return errors.Join(err, p.print(map[string]int{"requeued": n}, "REQUEUED", strconv.Itoa(n)))
			})
		},
	}
	f.register(cmd)
	cmd.Flags().Var(&due, "due", "when the first of them is due (default now)")
	cmd.Flags().Float64Var(&rate, "rate", 0, "how many of them fall due in a second; 0: all at once")
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters, if no filter is given")
	return cmd
}

func (a *app) deadPurge() *cobra.Command {
	var f deadFlags
	cmd := &cobra.Command{
		Use:     "purge",
		Short:   "Delete dead letters of a filter for good",
		Example: "  triggerhook dead purge --died-before -720h\n  triggerhook dead purge --prefix customer-42/",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.given() {
				return usageError{errors.New("dead purge: give a filter (--prefix, --reason, --died-from, --died-before); --died-before now is all")}
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				n, err := o.PurgeDead(ctx, f.filter())
				return errors.Join(err, p.print(map[string]int{"purged": n}, "PURGED", strconv.Itoa(n)))
			})
		},
	}
	f.register(cmd)
	return cmd
}
