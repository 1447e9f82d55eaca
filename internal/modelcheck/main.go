// Command modelcheck searches the models of docs/model to the end with spin, and
// sees each of their variants, in which one rule is weakened, fail.
//
//	go run ./internal/modelcheck [--only NAME,NAME] [--smallest] [--list]
//
// It prints one line a check with the states that were searched. The exit status is
// 1 if a model failed, a variant did not, or a search was not complete. spin is
// taken from the path, or brought into the cache folder of the test servers; gcc
// must be on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// atOnce is how many searches run at a time: each takes one core.
const atOnce = 2

func main() {
	only := flag.String("only", "", "names, with commas; all if empty")
	smallest := flag.Bool("smallest", false, "those alone that CI runs")
	list := flag.Bool("list", false, "print the names")
	flag.Parse()
	if *list {
		for _, c := range checks {
			fmt.Println(c)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, choose(*only, *smallest)); err != nil {
		fmt.Fprintln(os.Stderr, "modelcheck:", err)
		os.Exit(1)
	}
}

// choose returns the checks that are asked for.
func choose(only string, smallest bool) (some []check) {
	for _, c := range checks {
		if (only == "" || slices.Contains(strings.Split(only, ","), c.name)) && (!smallest || c.ci) {
			some = append(some, c)
		}
	}
	return some
}

// run runs checks, some at once, and prints their table in order.
func run(ctx context.Context, some []check) error {
	if len(some) == 0 {
		return errors.New("there is no such check")
	}
	t, err := bring(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	outcomes := make([]outcome, len(some))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, c := range some {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			outcomes[i] = t.check(ctx, c)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs []error
	states := 0
	for i, c := range some {
		o := outcomes[i]
		states += o.states
		fmt.Printf("%-4s %-62s %-9s %10d states %7.1f s\n", o.verdict(), c, o.found(), o.states, o.took.Seconds())
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, o.err))
		}
	}
	fmt.Printf("%d checks, %d states, %d at a time, %s\n", len(some), states, atOnce, time.Since(start).Round(time.Second))
	return errors.Join(errs...)
}
