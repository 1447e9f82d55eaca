// Command quickstart runs the main job of Trigger Hook: it creates tasks, deletes
// some, and delivers the others, each at its own time.
//
//	go run ./examples/quickstart                                   # needs nothing but Go
//	go run ./examples/quickstart --mysql DSN --redis HOST:PORT     # the same on servers
//
// Kill it in mid-run and start it again on the same store: it goes on with what
// was left. Its table comes from its own ledger, not from the library. The exit
// status is 1 if a task was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
)

type flags struct {
	tasks, workers, payload        int
	spread                         time.Duration
	data, mysql, redis, ns, listen string
	json                           bool
}

func parse() flags {
	var f flags
	flag.IntVar(&f.tasks, "tasks", 1000, "tasks to create")
	flag.DurationVar(&f.spread, "spread", 5*time.Second, "time over which they fall due")
	flag.IntVar(&f.workers, "workers", 8, "goroutines that consume")
	flag.IntVar(&f.payload, "payload", 100, "bytes of payload a task")
	flag.StringVar(&f.data, "data", "data", "folder of the embedded store")
	flag.StringVar(&f.mysql, "mysql", "", "DSN of a MySQL database, instead of the embedded store; if it names no database, quickstart is made and used")
	flag.StringVar(&f.redis, "redis", "", "address of a Redis, instead of the embedded hot set")
	flag.StringVar(&f.ns, "namespace", "quickstart", "prefix of tables and keys")
	flag.StringVar(&f.listen, "listen", "", "address to serve /metrics on, as 127.0.0.1:9090")
	flag.BoolVar(&f.json, "json", false, "print the table as one JSON object")
	flag.Parse()
	return f
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	lost, err := run(ctx, parse())
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(2)
	}
	if lost > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) (lost int, err error) {
	if flag.NArg() > 0 {
		return 0, fmt.Errorf("what is %q? Only flags are taken", flag.Arg(0))
	}
	if f.tasks < 0 || f.workers < 1 || f.payload < 0 || f.spread < 0 {
		return 0, errors.New("--tasks, --payload and --spread are at least 0, --workers is at least 1")
	}
	store, set, closeAll, err := open(f)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	s, err := triggerhook.New(store, set, triggerhook.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return 0, err
	}
	if err := s.Migrate(ctx); err != nil {
		return 0, err
	}
	var l ledger
	if err := l.findRest(ctx, store); err != nil {
		return 0, err
	}
	if len(l.rest) > 0 {
		fmt.Fprintf(os.Stderr, "an earlier run left %d tasks: going on with them\n", len(l.rest))
	}
	if err := serve(ctx, f.listen, s); err != nil {
		return 0, err
	}
	if err := work(ctx, f, s, store, &l); err != nil {
		return 0, err
	}
	if err := l.findLost(context.WithoutCancel(ctx), store, ctx.Err() != nil); err != nil {
		return 0, err
	}
	return l.print(os.Stdout, f.json)
}

// work creates, deletes and consumes until all is settled or lost, or ctx ends.
func work(ctx context.Context, f flags, s *triggerhook.Scheduler, store durable.Store, l *ledger) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- s.Handle(running, f.workers, func(_ context.Context, d *triggerhook.Delivery) error {
			l.handle(d)
			return nil
		})
	}()
	if err := create(ctx, f, s, l); err != nil && ctx.Err() == nil {
		stop()
		return errors.Join(err, <-done)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 1; !l.settled(); n++ {
		select {
		case err := <-done:
			return outcome(ctx, err)
		case <-tick.C:
			l.progress()
		}
		if n%50 == 0 && l.hopeless(ctx, store) {
			break
		}
	}
	stop()
	return outcome(running, <-done)
}

// outcome is that of Handle, which ctx was to end. If ctx ends at once, Handle may not have looked
// at the stores yet: that is said, and is no failure.
func outcome(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, triggerhook.ErrUnavailable) {
		fmt.Fprintln(os.Stderr, "quickstart: stopped before it began to work:", err)
		return nil
	}
	return err
}

// create makes the tasks in batches and deletes every tenth before its time.
func create(ctx context.Context, f flags, s *triggerhook.Scheduler, l *ledger) error {
	start := time.Now().Add(300 * time.Millisecond)
	payload := make([]byte, f.payload)
	const most = 200
	for i := 0; i < f.tasks; i += most {
		var batch []*triggerhook.Task
		for k := i; k < min(i+most, f.tasks); k++ {
			due := start.Add(time.Duration(float64(f.spread) * float64(k) / float64(f.tasks)))
			batch = append(batch, &triggerhook.Task{ID: fmt.Sprintf("run-%x-%06d", start.UnixMilli(), k), Due: due, Payload: payload})
		}
		l.creating(batch)
		if err := s.Create(ctx, batch...); err != nil {
			return fmt.Errorf("create: %w", err)
		}
		l.created(batch)
		for k := 9; k < len(batch); k += 10 {
			err := s.Delete(ctx, batch[k].ID)
			if err != nil && !errors.Is(err, triggerhook.ErrClaimed) && !errors.Is(err, triggerhook.ErrNotFound) {
				return fmt.Errorf("delete: %w", err)
			}
			l.deleted(batch[k].ID, err)
		}
	}
	l.createdAll()
	return nil
}
