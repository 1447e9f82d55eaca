package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/doctor"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
)

// Exit codes of doctor, which has its own: what it found is its result.
const (
	exitWarnings = 1
	exitErrors   = 2
)

// findingsError says how bad the findings are. The findings themselves are printed.
type findingsError struct {
	worst doctor.Status
	n     int
}

// Error counts the findings.
func (e findingsError) Error() string {
	return fmt.Sprintf("doctor made %d checks, and the worst finding is: %s", e.n, e.worst)
}

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	hotTasks int
	grace    time.Duration
	repair   bool
}

func (a *app) doctor() *cobra.Command {
	var w doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check versions, settings and rights of both stores, and whether they agree",
		Long: `doctor looks at both servers, or at the file, and at the tables of the namespace: versions, what a crash loses, limits, rights, clocks, replication.
Each finding says what was seen, what that means, and how to mend it. What the user may not read is "unread".

Then it compares the stores: rows that Redis should hold and does not, members of Redis that have no row, batches whose worker is gone. What it
finds counts if it finds the same again --grace later. Without --repair it changes nothing. With --repair it mends them, beside workers that go on.

Exit codes of this command: 0 all is well, 1 there are warnings, 2 there are errors.`,
		Example: "  triggerhook doctor\n  triggerhook doctor --repair\n  triggerhook doctor --json | jq 'select(.status != \"ok\")'",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if w.hotTasks < 1 || w.grace < time.Second || w.grace > time.Hour {
				return usageError{fmt.Errorf("--hot-tasks %d, --grace %s: want at least 1, and 1s to 1h", w.hotTasks, w.grace)}
			}
			err := a.checkUp(cmd, w)
			if err != nil && !errors.As(err, new(usageError)) && !errors.As(err, new(findingsError)) {
				err = errors.Join(err, findingsError{doctor.Error, 0}) // what ended it early is an error, and no warning
			}
			return err
		},
	}
	cmd.Flags().IntVar(&a.maxPayload, "max-payload", 64<<10, "Options.MaxPayload of your workers, in bytes")
	cmd.Flags().IntVar(&w.hotTasks, "hot-tasks", 500_000, "Options.HotTasks of your workers")
	cmd.Flags().DurationVar(&w.grace, "grace", 5*time.Second, "Options.AuditGrace of your workers: how long stores must disagree to be found")
	cmd.Flags().BoolVar(&w.repair, "repair", false, "mend what the stores disagree in, as the background roles of workers do")
	return cmd
}

// checkUp checks the file first, if there is one, because a store that opens it would hide that it is not there, or that another process has it.
func (a *app) checkUp(cmd *cobra.Command, w doctorFlags) error {
	if err := fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	var before []doctor.Finding
	if path, is := strings.CutPrefix(a.store, "bolt:"); is && path != "" {
		free := false
		if before, free = doctor.Bolt(path); !free {
			a.began = true
			return report(&printer{out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), json: a.json}, before)
		}
	}
	return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
		return report(p, append(before, a.examine(ctx, o, w)...))
	})
}

// examine checks both stores.
func (a *app) examine(ctx context.Context, o *opened, w doctorFlags) (all []doctor.Finding) {
	if store, is := o.store.(*durable.MySQL); is {
		all = append(all, doctor.MySQL{DB: o.db, Store: store, Partitions: o.set.Config().Partitions, MaxPayload: a.maxPayload}.Check(ctx)...)
	} else {
		all = append(all, doctor.Format(ctx, o.store, o.set.Config().Partitions))
	}
	if o.rdb == nil {
		return all // a hot set in the memory of this process holds nothing
	}
	set, err := hotset.NewRedis(o.rdb, hotset.Options{Namespace: a.namespace, Partitions: a.partitions}) // beside the Scheduler's
	if err != nil {
		return append(all, doctor.Finding{Check: "redis.client", Status: doctor.Error, Seen: err.Error()})
	}
	all = append(all, doctor.Redis{Client: o.rdb, Set: set, HotTasks: w.hotTasks}.Check(ctx)...)
	return append(all, doctor.Stores{Store: o.store, Set: set, Grace: w.grace}.Check(ctx, w.repair)...)
}

// report prints findings. The error says how bad they are, nil if all is well.
func report(p *printer, all []doctor.Finding) (err error) {
	for _, f := range all {
		if p.json {
			err = errors.Join(err, p.print(f, ""))
		}
	}
	if !p.json {
		err = table(p.out, all)
	}
	if worst := doctor.Worst(all); worst != doctor.OK {
		err = errors.Join(err, findingsError{worst, len(all)})
	}
	return err
}

// table prints findings for people: a line for each, and below those that are not ok what they mean and how to mend them.
func table(to io.Writer, all []doctor.Finding) error {
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "STATUS\tCHECK\tSEEN")
	for _, f := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Status, f.Check, oneLine(f.Seen))
		if f.Status == doctor.OK {
			continue
		}
		fmt.Fprintf(t, "\t\t  means: %s\n\t\t  mend:  %s\n", oneLine(f.Means), oneLine(f.Mend))
	}
	return t.Flush()
}
