package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/triggerhook/triggerhook"
)

// app is what all commands share.
type app struct {
	target
	json    bool
	timeout time.Duration
	began   bool // a command has got as far as the stores: an error before that is one of usage
}

// environment names the variables that stand in for flags which are not given.
var environment = map[string]string{
	"store":      "TRIGGERHOOK_STORE",
	"hot":        "TRIGGERHOOK_HOT",
	"namespace":  "TRIGGERHOOK_NAMESPACE",
	"partitions": "TRIGGERHOOK_PARTITIONS",
}

// execute runs the command that args name, and returns its exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.began {
		err = usageError{err}
	}
	if err != nil {
		fmt.Fprintln(errs, "triggerhook:", err)
	}
	if errors.Is(err, triggerhook.ErrNotMigrated) {
		fmt.Fprintln(errs, `triggerhook: "triggerhook migrate" creates what is missing`)
	}
	return exitCode(err)
}

// root is the command of which all others are parts.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "triggerhook",
		Short: "One-off tasks at their own time: create, find, move and delete them, and see what is to come",
		Long: `triggerhook works with the tasks of one namespace, in the stores that your workers use.

Stores are named by URL:
  --store  mysql://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS   parameters of go-sql-driver/mysql; socket=PATH
           bolt:PATH                                             a file, of one process at a time
  --hot    redis://HOST:PORT, rediss://HOST:PORT                 or redis-cluster://HOST:PORT?addr=HOST:PORT,
           redis-sentinel://HOST:PORT?master_name=NAME           or local, for bolt

Times are RFC 3339 (2026-12-24T18:00:00Z), "now", or a duration from now on (90s, 24h, -1h).

Exit codes:
  0  done                          4  a task of that ID exists
  1  another error                 5  deleted, but a worker had claimed it before
  2  wrong usage or input          6  a server is unavailable: try again
  3  no task of that ID            7  refused: access, schema, stores that do not match, or producers are paused
"doctor" has its own: 0 all is well, 1 warnings, 2 errors.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.store, "store", "", "durable store, by URL (TRIGGERHOOK_STORE)")
	f.StringVar(&a.hot, "hot", "local", "hot set, by URL (TRIGGERHOOK_HOT)")
	f.StringVar(&a.namespace, "namespace", "", `prefix of tables and keys (TRIGGERHOOK_NAMESPACE; default "triggerhook")`)
	f.IntVar(&a.partitions, "partitions", 1, "partitions of the hot set, as at the first migrate (TRIGGERHOOK_PARTITIONS)")
	f.BoolVar(&a.json, "json", false, "print a line of JSON for each thing")
	f.DurationVar(&a.timeout, "timeout", 0, "end the command after this time, done or not; 0: never")
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unknown command %q; see triggerhook help", args[0])}
		}
		return nil
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(a.migrate(), a.create(), a.get(), a.list(), a.delete(), a.reschedule(), a.update(), a.deadLetters(), a.history(), a.pause(), a.resume(), a.stats(), a.workers(), a.forecast(),
		a.export(), a.importTasks(), a.serve(), a.token(),
		a.doctor(), a.top(), a.version(), a.man())
	complete(root)
	return root
}

// fromEnvironment sets the flags that were not given from the environment.
func fromEnvironment(flags *pflag.FlagSet) error {
	for name, variable := range environment {
		value, is := os.LookupEnv(variable)
		if !is || flags.Changed(name) {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return usageError{fmt.Errorf("%s: %w", variable, err)}
		}
	}
	return nil
}

// action is what a command does with a Scheduler.
type action func(ctx context.Context, o *opened, p *printer) error

// flushWait is how long a command that has changed something waits until the hot set knows.
const flushWait = 30 * time.Second

// run opens the stores, does act, waits until the hot set knows what was changed, and closes the stores.
func (a *app) run(cmd *cobra.Command, act action) (err error) {
	if err := fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	ctx := cmd.Context()
	if a.timeout > 0 {
		timed, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("--timeout %s is over: %w", a.timeout, context.DeadlineExceeded))
		defer cancel()
		ctx = timed
	}
	if a.store == "" {
		return usageError{errors.New("no store: give --store, or set TRIGGERHOOK_STORE")}
	}
	a.began = true
	o, err := a.open(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	p := &printer{out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), json: a.json}
	err = errors.Join(act(ctx, o, p), p.flush())
	short, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	return errors.Join(err, o.Flush(short))
}

// exactly refuses another number of arguments with an error of usage.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %s; got %d arguments", cmd.Name(), what, len(args))}
		}
		return nil
	}
}
