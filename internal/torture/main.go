// Command torture runs worker processes on real servers while a nemesis breaks
// what can break, and then judges the history of the run by the promises
// (internal/history):
//
//	go run ./internal/torture [--topology single] [--mysql DSN --redis ADDR] [--seed N] [--duration 60s] [--workers 4] [--faults all|NAME,NAME] [--json]
//
// Without addresses it brings its own servers, which the faults that stop servers
// need; --topology says which (topology.go). The seed decides which faults come when, what is created and what becomes
// of each delivery, so that a seed that failed can be run again: same faults, same
// load, though no two runs have the same timing. The exit status is 1 if a promise
// was broken; the history is kept then, and the story of the offending tasks
// printed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
)

// config is the command line.
type config struct {
	mysql, redis string
	topologyName string
	seed         uint64
	duration     time.Duration
	workers      int
	rate         float64
	faults       []string
	all          bool // not by name
	json         bool
	keep         string
	history      string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "--worker" {
		var sp spec
		err := json.Unmarshal([]byte(os.Args[2]), &sp)
		if err == nil {
			err = work(sp)
		}
		exit(err, 1)
		return
	}
	c, err := parse(os.Args[1:])
	exit(err, 2)
	if c.small() && !canMount() {
		code, err := runInOwn(os.Args[1:]...)
		if err == nil {
			os.Exit(code)
		}
		exit(c.leaveOut(err), 2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kept, err := torture(ctx, c)
	exit(err, 2)
	if !kept {
		os.Exit(1)
	}
}

// small reports whether a fault needs a small file system.
func (c *config) small() bool {
	return c.history == "" && slices.ContainsFunc(c.faults, func(name string) bool { return kinds[name].small })
}

// leaveOut leaves the faults out that this machine does not allow, for the reason why,
// and says so; it returns that reason if they were asked for by name.
func (c *config) leaveOut(why error) error {
	if !c.all {
		return why
	}
	c.faults = slices.DeleteFunc(c.faults, func(name string) bool {
		if kinds[name].small {
			fmt.Fprintf(os.Stderr, "torture: without %s: %v\n", name, why)
		}
		return kinds[name].small
	})
	return nil
}

// exit ends the program with that status if there is an error.
func exit(err error, status int) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(status)
	}
}

func parse(args []string) (config, error) {
	var c config
	var names string
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.StringVar(&c.mysql, "mysql", "", "DSN of a MySQL whose user may create databases; its own if empty")
	f.StringVar(&c.redis, "redis", "", "host:port of a Redis, which is emptied; its own if empty")
	f.StringVar(&c.topologyName, "topology", single, "the servers: "+strings.Join(slices.Sorted(maps.Keys(topologies)), ", "))
	f.Uint64Var(&c.seed, "seed", 0, "what decides the run; 0: the time")
	f.DurationVar(&c.duration, "duration", time.Minute, "for how long there are load and faults")
	f.IntVar(&c.workers, "workers", 4, "worker processes")
	f.Float64Var(&c.rate, "rate", 120, "tasks created a second, by all workers")
	f.StringVar(&names, "faults", "all", "names, with commas; all; none")
	f.BoolVar(&c.json, "json", false, "print the verdict as one JSON object")
	f.StringVar(&c.keep, "keep", "", "folder to keep the history and the workers' logs in, also of a run that went well")
	f.StringVar(&c.history, "judge", "", "history of an earlier run, which is judged again with its --topology and --seed; nothing is run")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if (c.mysql == "") != (c.redis == "") || c.workers < 1 || c.rate <= 0 || f.NArg() > 0 {
		return c, errors.New("--mysql and --redis go together, and one worker and some rate are needed")
	}
	if err := c.checkTopology(); err != nil {
		return c, err
	}
	if c.seed == 0 {
		c.seed = uint64(time.Now().UnixNano() % 1e9)
	}
	var err error
	all := strings.Split(names, ",")
	c.all = slices.Contains(all, "all")
	c.faults, err = choose(all, c.topologyName, c.mysql == "")
	return c, err
}

// torture runs it all and reports whether the promises were kept.
func torture(ctx context.Context, c config) (bool, error) {
	if c.history != "" {
		st := &stage{config: c, path: c.history, parts: c.partitions()}
		st.keep = filepath.Dir(c.history)
		return st.judge(os.Stdout, os.Stderr)
	}
	_ = mysql.SetLogger(&mysql.NopLogger{}) // the nemesis's own connections break too; it refuses nil only
	redis.SetLogger(silent{})               // neither are its failed dials of interest
	st, err := setUp(ctx, c)
	defer st.tearDown()
	if err != nil {
		return false, err
	}
	if err := st.run(ctx); err != nil {
		return false, errors.Join(err, st.abandon())
	}
	return st.judge(os.Stdout, os.Stderr)
}

// silent is a logger of go-redis.
type silent struct{}

// Printf implements the interface that redis.SetLogger takes.
func (silent) Printf(context.Context, string, ...any) {}
