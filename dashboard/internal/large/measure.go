package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
)

// runs is how often each page is asked for. The first answer is told by itself, because it finds the least in the caches.
const runs = 9

// step is one thing to measure. It returns what it found, in few words.
type step struct {
	name string
	do   func(context.Context) (string, error)
	once bool
}

// measure prints how long the pages of the dashboard take, beside a worker, and what is below them.
func measure(ctx context.Context, s *triggerhook.Scheduler) error {
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Handle(working, 8, func(context.Context, *triggerhook.Delivery) error { return nil })
	}()
	defer func() {
		stop()
		report(<-ended)
	}()
	if err := idle(ctx, s); err != nil {
		return err
	}
	pages, err := dashboard.New(s, dashboard.Options{Operate: true, Authorize: func(*http.Request) error { return nil }})
	if err != nil {
		return err
	}
	server := httptest.NewServer(pages)
	defer server.Close()
	steps, err := all(ctx, s, server)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintln(out, "WHAT\tFIRST\tMEDIAN\tMOST\tANSWER")
	for _, one := range steps {
		if err := one.print(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// idle waits until the worker has done what fell due before this run.
func idle(ctx context.Context, s *triggerhook.Scheduler) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; n < 3; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		stats, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		if of := stats.Namespace; of.Due+of.InFlight > 1000 || of.LoadedAhead < time.Second {
			n = -1
		}
	}
	return nil
}

// print measures a step, and prints a line.
func (s step) print(ctx context.Context, out *tabwriter.Writer) error {
	var took []time.Duration
	var answer string
	for range runs {
		began := time.Now()
		var err error
		if answer, err = s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if took = append(took, time.Since(began)); s.once {
			break
		}
	}
	first := took[0]
	slices.Sort(took)
	fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", s.name, ms(first), ms(took[len(took)/2]), ms(took[len(took)-1]), answer)
	return out.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// all are the steps.
func all(ctx context.Context, s *triggerhook.Scheduler, server *httptest.Server) (steps []step, err error) {
	for _, page := range []string{"", "live", "tasks", "task?id=tenant-0420/order-04200042", "task?id=none", "find?q=tenant-0420/", "tasks?prefix=tenant-0420/", "tasks?from=24h&before=25h",
		"tasks?from=24h", "tasks?before=1m", "tasks?prefix=tenant-0420/&from=24h&before=25h", "tasks?prefix=tenant-&from=40h&before=2401m", "tasks?header=priority&value=high", "tasks?prefix=tenant-0420/&header=priority&value=high",
		"dead", "dead?prefix=dead-0004", "dead?reason=attempts", "dead?reason=discarded", "delete?prefix=tenant-0420/", "delete?from=24h&before=25h", "move?prefix=tenant-04"} {
		steps = append(steps, step{name: "GET " + page, do: get(server, page)})
	}
	far, err := cursor(ctx, s, triggerhook.Filter{DueFrom: time.Now().Add(40 * time.Hour)})
	if err != nil {
		return nil, err
	}
	farID, err := cursor(ctx, s, triggerhook.Filter{IDPrefix: "tenant-0420/order-04209"})
	if err != nil {
		return nil, err
	}
	for _, page := range []string{"tasks?after=" + url.QueryEscape(far), "tasks?prefix=tenant-0420/&after=" + url.QueryEscape(farID), "tasks?prefix=tenant-&after=" + url.QueryEscape(farID)} {
		steps = append(steps, step{name: "GET " + page, do: get(server, page)})
	}
	for _, page := range []string{"tasks?header=rare&value=1", "tasks?header=none&value=1", "requeue?", "delete?prefix=tenant-0", "delete?header=none&value=1"} {
		steps = append(steps, step{name: "GET " + page, do: get(server, page), once: true})
	}
	return append(steps, step{"Stats", func(ctx context.Context) (string, error) {
		st, err := s.Stats(ctx)
		return fmt.Sprint(st.Namespace.Tasks, st.Namespace.Forecast), err
	}, false}), nil
}

// cursor is the place of the first task that matches.
func cursor(ctx context.Context, s *triggerhook.Scheduler, f triggerhook.Filter) (string, error) {
	for info, err := range s.List(ctx, f) {
		return info.Cursor(), err
	}
	return "", errors.New("no task")
}

// get asks for a page. Of the live figures it reads until there is each of them.
func get(server *httptest.Server, page string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/"+page, nil)
		if err != nil {
			return "", err
		}
		res, err := server.Client().Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		n, lines := 0, bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			n += len(lines.Text()) + 1
			if lines.Text() == "event: partitions" {
				break
			}
		}
		return fmt.Sprintf("%d, %d bytes", res.StatusCode, n), lines.Err()
	}
}
