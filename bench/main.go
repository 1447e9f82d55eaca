// Command bench measures this library, its peers, and the limit of what the same
// servers can do bare, in one run on servers that it brings:
//
//	go run . run [--scenario NAME,... | --suite NAME] [--system NAME,...] [--n N] [--workers W] [--payload BYTES] [--rtt 2ms] [--partitions P] [--runs K] [--json FILE]
//	go run . compare --with PROGRAM [FLAG OF run]...
//	go run . report [--plots DIR] FILE...
//	go run . publish [--root DIR] FILE...
//
// Each measurement is a process of its own, so that none finds another's heap. It
// prints one JSON object a line. The exit status is 1 if a task was lost, early or
// delivered twice, or if a measurement failed; a system that cannot do a scenario
// says so in its line, and has no figures there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
)

func main() { os.Exit(command(os.Args[1:])) }

// command is main, and what the tests' binary does if it is one of its processes.
func command(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case os.Getenv(jobEnv) != "":
		err = jobMain(ctx, os.Getenv(jobEnv))
	case os.Getenv(workerEnv) != "":
		err = workerMain(ctx, os.Getenv(workerEnv))
	case os.Getenv(natsEnv) != "":
		err = natsMain(ctx, os.Getenv(natsEnv))
	case len(args) > 0 && args[0] == "run":
		err = runMain(ctx, args[1:])
	case len(args) > 0 && args[0] == "compare":
		err = compareMain(ctx, os.Stdout, args[1:])
	case len(args) > 0 && args[0] == "report":
		err = reportMain(args[1:])
	case len(args) > 0 && args[0] == "publish":
		err = publishMain(args[1:])
	default:
		err = errors.New("usage: bench run|compare|report|publish [FLAG]... (--help tells them)")
	}
	if errors.Is(err, flag.ErrHelp) {
		return 2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// wish is what the flags of run ask for. Zero: the scenario's own.
type wish struct {
	scenarios, systems  []string
	variant             string // part of its name
	n, workers, payload int
	rtt                 time.Duration
	partitions          int
	runs                int
	file                string
	profile             string
	unflushed           bool
	parts               []part // of a suite
}

// parseRun reads the flags of run; more adds those of another command that takes these too.
func parseRun(args []string, more ...func(*flag.FlagSet)) (wish, error) {
	w := wish{}
	var scenarios, systems, suite string
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.StringVar(&scenarios, "scenario", "", "names, with commas; all if empty: "+strings.Join(scenarioNames(), ", "))
	f.StringVar(&systems, "system", "triggerhook,limit", "names, with commas, or all: "+strings.Join(systemNames, ", "))
	f.StringVar(&suite, "suite", "", "a list of measurements, instead of scenarios: "+strings.Join(suiteNames(), ", "))
	f.StringVar(&w.variant, "variant", "", "only variants with this in their names")
	f.IntVar(&w.n, "n", 0, "tasks, of which a variant has its share; 0: as many as the scenario's full size has")
	f.IntVar(&w.workers, "workers", 0, "callers, consumers or worker processes, whatever the scenario varies; 0: each of its own numbers")
	f.IntVar(&w.payload, "payload", 100, "bytes")
	f.DurationVar(&w.rtt, "rtt", 0, "round trip that is added between client and servers")
	f.IntVar(&w.partitions, "partitions", 1, "of the library's hot set; limit has one")
	f.IntVar(&w.runs, "runs", 1, "how often to measure; a report takes the medians")
	f.StringVar(&w.file, "json", "", "append the lines to this file too")
	f.StringVar(&w.profile, "cpuprofile", "", "write CPU profiles of the measurements into this folder")
	flush := f.Bool("flush", true, "durable stores flush to disk at each commit; false: as their usual settings for less have it, up to a second later")
	for _, add := range more {
		add(f)
	}
	if err := f.Parse(args); err != nil {
		return w, err
	}
	if f.NArg() > 0 {
		return w, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	w.unflushed = !*flush
	if w.partitions < 1 || w.partitions > hotset.MaxPartitions {
		return w, fmt.Errorf("--partitions is %d, 1 to %d are allowed", w.partitions, hotset.MaxPartitions)
	}
	if w.n < 0 || w.workers < 0 || w.payload < 0 || w.payload > 1<<20 || w.rtt < 0 || w.runs < 1 {
		return w, errors.New("--n, --workers, --payload and --rtt cannot be negative, --payload is at most 1 MiB, --runs at least 1")
	}
	var err error
	if w.scenarios, err = choose(scenarios, scenarioNames()); err != nil {
		return w, err
	}
	if w.systems, err = choose(systems, systemNames); err != nil || suite == "" {
		return w, err
	}
	if scenarios != "" {
		return w, errors.New("--suite and --scenario cannot go together")
	}
	named := false
	f.Visit(func(set *flag.Flag) { named = named || set.Name == "system" && systems != "all" })
	return w.suited(suite, named)
}

// choose returns the names in text, in the order of all, each of which must be one
// of them.
func choose(text string, all []string) ([]string, error) {
	if text == "" || text == "all" {
		return all, nil
	}
	asked := map[string]bool{}
	for _, name := range strings.Split(text, ",") {
		asked[name] = true
	}
	var chosen []string
	for _, name := range all {
		if asked[name] {
			chosen = append(chosen, name)
			delete(asked, name)
		}
	}
	for name := range asked {
		return nil, fmt.Errorf("there is no %q, but %s", name, strings.Join(all, ", "))
	}
	return chosen, nil
}

// runMain measures what args ask for.
func runMain(ctx context.Context, args []string) (err error) {
	w, err := parseRun(args)
	if err != nil {
		return err
	}
	out := []io.Writer{os.Stdout}
	if w.file != "" {
		f, err := os.OpenFile(w.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("open file of results: %w", err)
		}
		defer f.Close()
		out = append(out, f)
	}
	field, err := bring(ctx, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, field.Close()) }()
	var errs []error
	for run := range w.runs {
		for _, j := range jobs(w) {
			j.Run = run
			if err := field.run(ctx, j, io.MultiWriter(out...)); err != nil {
				err = fmt.Errorf("%s %s %s: %w", j.Scenario, j.Variant.Name, j.System, err)
				fmt.Fprintln(os.Stderr, "bench:", err)
				errs = append(errs, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%d measurements failed", len(errs))
	}
	return nil
}
