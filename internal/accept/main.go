// Command accept runs the heavy runs: worker processes of this binary on a MySQL
// and a Redis that it brings for each run, and a verdict from what the workers
// wrote down. The tests run all of it at a twentieth of the size.
//
//	go run ./internal/accept [--scenario burst,kill] [--partitions 4] [--small] [--json] [--dir DIR]
//
// It prints one line a scenario, and its exit status is 1 if a promise was broken.
//
// The processes that a promise is made to write down what it is judged by. A worker
// writes one unbuffered line before each delivery's work and one after it, so what
// a killed worker did counts; the driver writes down what Create acknowledged.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

func main() {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(workerMain(text))
	}
	hush(io.Discard)
	names := flag.String("scenario", "", "names, with commas; all if empty")
	partitions := flag.Int("partitions", 1, "of the hot set")
	small := flag.Bool("small", false, "a twentieth of the size")
	asJSON := flag.Bool("json", false, "print a JSON object a scenario")
	dir := flag.String("dir", "", "keep what the workers wrote here")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := choose(*names)
	if err != nil {
		fmt.Fprintln(os.Stderr, "accept:", err)
		os.Exit(2)
	}
	ok := true
	for _, s := range chosen {
		v, err := onOwnServers(ctx, s, *partitions, *small, *dir)
		if err != nil {
			fmt.Fprintf(os.Stderr, "accept: %s: %v\n", s.name, err)
			ok = false
			continue
		}
		show(v, *asJSON)
		ok = ok && len(v.Broken) == 0
	}
	if !ok {
		os.Exit(1)
	}
}

// choose returns the named scenarios in the table's order.
func choose(names string) ([]scenario, error) {
	if names == "" {
		return scenarios, nil
	}
	wanted := strings.Split(names, ",")
	var chosen []scenario
	for _, s := range scenarios {
		if i := slices.Index(wanted, s.name); i >= 0 {
			chosen = append(chosen, s)
			wanted = slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("no scenario %s", strings.Join(wanted, ", "))
	}
	return chosen, nil
}

func show(v verdict, asJSON bool) {
	if !asJSON {
		fmt.Println(v)
		return
	}
	line, err := json.Marshal(v)
	if err != nil {
		line = fmt.Appendf(nil, "%q", err)
	}
	fmt.Printf("%s\n", line)
}

// onOwnServers runs s on servers that it starts and stops.
func onOwnServers(ctx context.Context, s scenario, partitions int, small bool, dir string) (v verdict, err error) {
	my, err := testserver.Start(ctx, testserver.MySQL)
	if err != nil {
		return v, err
	}
	defer my.Close()
	cache, err := testserver.Start(ctx, testserver.Redis)
	if err != nil {
		return v, err
	}
	defer cache.Close()
	if dir == "" {
		if dir, err = os.MkdirTemp("", "accept-"); err != nil {
			return v, fmt.Errorf("folder of the workers' files: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	return s.run(ctx, stage{mysql: my, redis: cache, partitions: partitions, scaled: small, dir: dir})
}
