package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

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

func (a *app) doctor() *cobra.Command {
	var hotTasks int
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check versions, settings and rights of both stores",
		Long: `doctor looks at both servers, or at the file, and at the tables of the namespace: versions, what a crash loses, limits, rights, clocks, replication.
Each finding says what was seen, what that means, and how to mend it. It changes nothing. What the user may not read is "unread".

Exit codes of this command: 0 all is well, 1 there are warnings, 2 there are errors.`,
		Example: "  triggerhook doctor\n  triggerhook doctor --json | jq 'select(.status != \"ok\")'",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if hotTasks < 1 {
				return usageError{fmt.Errorf("--hot-tasks %d: want at least 1", hotTasks)}
			}
			err := a.checkUp(cmd, hotTasks)
			if err != nil && !errors.As(err, new(usageError)) && !errors.As(err, new(findingsError)) {
				err = errors.Join(err, findingsError{doctor.Error, 0}) // what ended it early is an error, and no warning
			}
			return err
		},
	}
	cmd.Flags().IntVar(&a.maxPayload, "max-payload", 64<<10, "Options.MaxPayload of your workers, in bytes")
	cmd.Flags().IntVar(&hotTasks, "hot-tasks", 500_000, "Options.HotTasks of your workers")
	return cmd
}

// checkUp checks the file first, if there is one, because a store that opens it would hide that it is not there, or that another process has it.
func (a *app) checkUp(cmd *cobra.Command, hotTasks int) error {
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
		return report(p, append(before, a.examine(ctx, o, hotTasks)...))
	})
}

// examine checks both stores.
func (a *app) examine(ctx context.Context, o *opened, hotTasks int) (all []doctor.Finding) {
	if store, is := o.store.(*durable.MySQL); is {
		all = append(all, doctor.MySQL{DB: o.db, Store: store, Partitions: o.set.Config().Partitions, MaxPayload: a.maxPayload}.Check(ctx)...)
	} else {
		all = append(all, doctor.Format(ctx, o.store, o.set.Config().Partitions))
	}
	if set, is := o.set.(*hotset.Redis); is {
		all = append(all, doctor.Redis{Client: o.rdb, Set: set, HotTasks: hotTasks}.Check(ctx)...)
	}
	return all
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
