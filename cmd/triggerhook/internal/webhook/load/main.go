// Command load measures "triggerhook serve" under load: it starts some servers as processes of their own on MySQL and Redis, creates tasks
// that are due at an even rate, and receives the webhooks itself, on loopback. In mid-run it kills one server with SIGKILL.
//
// In the root of the repository, on servers that it brings:
//
//	go run ./internal/testserver/servers bash -c 'cd cmd/triggerhook && go run ./internal/webhook/load'
//
// Each request is verified by the public library of Standard Webhooks. The lateness of a task is the time of its first request minus its
// due time, both by the clock of this machine. It ends with status 1 if a task is lost or early, or a signature is wrong; never for a lateness.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	rate        int
	duration    time.Duration
	lead        time.Duration
	replicas    int
	kill        float64
	concurrency int
	perHost     int
	answer      time.Duration
	patience    time.Duration
	serve       string
	keep        bool
	mysql       string // a DSN of go-sql-driver
	redis       string // host:port
}

func main() {
	s := flags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// flags reads the flags, and ends the program where they break a rule.
func flags() settings {
	var s settings
	flag.IntVar(&s.rate, "rate", 2000, "tasks that are due each second")
	flag.DurationVar(&s.duration, "duration", 30*time.Second, "for how long tasks are due")
	flag.DurationVar(&s.lead, "lead", 0, "how long after the start the first task is due; 0: 10 s and what creating them takes at 1,000 a second")
	flag.IntVar(&s.replicas, "replicas", 2, "servers")
	flag.Float64Var(&s.kill, "kill", 0.5, "after which part of the duration the first server is killed; 0: never")
	flag.IntVar(&s.concurrency, "concurrency", 256, "--concurrency of each server")
	flag.IntVar(&s.perHost, "per-host", 128, "--webhook-per-host of each server")
	flag.DurationVar(&s.answer, "answer", 0, "how long the receiver takes for each answer")
	flag.DurationVar(&s.patience, "patience", time.Minute, "how long nothing may come, after the last task was due, until the missing ones are lost")
	flag.StringVar(&s.serve, "serve", "", "the program triggerhook; without it the one of this source is built")
	flag.BoolVar(&s.keep, "keep", false, "keep the folder with the logs of the servers")
	flag.Parse()
	s.mysql, s.redis = os.Getenv("TRIGGERHOOK_TEST_MYSQL"), os.Getenv("TRIGGERHOOK_TEST_REDIS")
	if err := s.check(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	if s.lead == 0 {
		s.lead = 10*time.Second + time.Duration(s.tasks())*time.Second/1000
	}
	return s
}

// tasks is how many tasks there are.
func (s settings) tasks() int { return int(float64(s.rate) * s.duration.Seconds()) }

// check refuses values that break a rule.
func (s settings) check() error {
	switch {
	case s.mysql == "" || s.redis == "":
		return fmt.Errorf("TRIGGERHOOK_TEST_MYSQL (a DSN) is %q and TRIGGERHOOK_TEST_REDIS (host:port) %q: both are needed", s.mysql, s.redis)
	case s.rate < 1 || s.rate > 100_000:
		return fmt.Errorf("--rate %d: want 1 to 100000", s.rate)
	case s.duration < time.Second || s.duration > time.Hour:
		return fmt.Errorf("--duration %s: want 1s to 1h", s.duration)
	case s.replicas < 1 || s.replicas > 16:
		return fmt.Errorf("--replicas %d: want 1 to 16", s.replicas)
	case s.kill < 0 || s.kill > 1 || s.kill > 0 && s.replicas < 2:
		return fmt.Errorf("--kill %g of %d replicas: want 0 to 1, and a replica that is left", s.kill, s.replicas)
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	return nil
}

// run does one measurement, and reports whether all promises were kept.
func run(ctx context.Context, s settings) (ok bool, err error) {
	w, err := newWorld(ctx, s)
	if err != nil {
		return false, err
	}
	defer func() { w.close(s.keep) }()
	start := time.Now().Add(s.lead).Truncate(time.Millisecond)
	if err := w.create(ctx, s, start); err != nil {
		return false, err
	}
	if time.Now().After(start) {
		return false, fmt.Errorf("creating %d tasks took longer than --lead %s, so some were late before they began: give more", s.tasks(), s.lead)
	}
	fmt.Printf("%d tasks at %d/s for %d servers, created %.1f s before the first is due\n", s.tasks(), s.rate, s.replicas, time.Until(start).Seconds())
	killed := time.Time{}
	if s.kill > 0 {
		if !wait(ctx, start.Add(time.Duration(s.kill*float64(s.duration)))) {
			return false, ctx.Err()
		}
		killed = time.Now()
		if err := w.servers[0].cmd.Process.Kill(); err != nil {
			return false, err
		}
		fmt.Printf("killed server 1 after %.1f s\n", killed.Sub(start).Seconds())
	}
	w.receiver.all(ctx, s.tasks(), start.Add(s.duration), s.patience)
	ok = w.receiver.report(os.Stdout, s.tasks(), killed)
	w.stop()
	w.processors(s.tasks())
	return ok, ctx.Err()
}

// wait waits until that time. It reports false if ctx has ended before.
func wait(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
