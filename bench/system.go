package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// system is what is measured. Its methods that take a context end with it. What it
// has no way to do at all it answers with cannot.
type system interface {
	// create stores tasks by one call: each survives a crash once it returns.
	create(ctx context.Context, tasks []item) error
	// delete deletes tasks by one call.
	delete(ctx context.Context, ids []string) error
	// fill stores n tasks in the durable store as fast as it goes; it is not
	// measured.
	fill(ctx context.Context, n int, task func(i int) item) error
	// start begins the background work, which preloads, and returns once it is
	// ready for create.
	start(ctx context.Context) error
	// hot is how many tasks wait in the hot set.
	hot(ctx context.Context) (int, error)
	// consume delivers and confirms until ctx ends.
	consume(ctx context.Context, c consumption) error
	// settled is how many tasks this process has confirmed, durably.
	settled(ctx context.Context) (int, error)
	// left is how many tasks are unfinished in the durable store, counted up to
	// limit and somewhat beyond.
	left(ctx context.Context, limit int) (int, error)
	// calls is how many commands this process has sent to Redis; -1 if none
	// counts them.
	calls() int64
	close() error
}

// item is a task of any system.
type item struct {
	id      string
	due     time.Time
	payload []byte
	now     bool // it is for at once: a system that has a call for that uses it
}

// consumption is what consume is to do.
type consumption struct {
	consumers int
	// rows: from the durable store and not from the hot set, where a system has
	// no background work that leads from one to the other.
	rows    bool
	confirm bool
	deliver func(id string, at time.Time)
	// fails, if set, reports which attempts are rolled back, and not delivered; of this library alone.
	fails func(id string, attempt int) bool
	// wait, if set, is where a confirm's latency goes: confirms are waited for.
	wait func(time.Duration)
}

// cannot is why a system has no figures in a scenario.
type cannot string

// Error says why.
func (c cannot) Error() string { return string(c) }

var systemNames = []string{"triggerhook", "embedded", "asynq", "river", "nats", "bullmq", "limit"}

var peers = []string{"asynq", "river", "nats", "bullmq"}

// isPeer reports whether a system is another project's.
func isPeer(system string) bool { return slices.Contains(peers, system) }

// open opens a system; fresh makes its tables and files.
func open(ctx context.Context, j job, fresh bool) (system, error) {
	switch j.System {
	case "triggerhook":
		return openTriggerhook(ctx, j, fresh)
	case "embedded":
		return openEmbedded(ctx, j)
	case "asynq":
		return openAsynq(j)
	case "river":
		return openRiver(ctx, j, fresh)
	case "nats":
		return openNATS(ctx, j, fresh)
	case "bullmq":
		return openBullMQ(ctx, j, fresh)
	case "limit":
		return openLimit(ctx, j)
	}
	return nil, fmt.Errorf("there is no system %q", j.System)
}

// idOf is the id of task i, as long as a UUID and in order as UUIDv7 are.
func idOf(i int) string { return fmt.Sprintf("018f0000-0000-7000-8000-%012d", i) }

// indexOf is the other way round; -1 for what is no such id.
func indexOf(id string) int {
	if len(id) != 36 {
		return -1
	}
	i, err := strconv.Atoi(id[24:])
	if err != nil {
		return -1
	}
	return i
}

// payload is text, so that no system has to escape it.
func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// each calls f for chunks of n indices from some goroutines, and returns the first
// error.
func each(ctx context.Context, n, chunk, goroutines int, f func(ctx context.Context, from, to int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for ctx.Err() == nil {
				from := int(next.Add(int64(chunk))) - chunk
				if from >= n {
					return
				}
				if err := f(ctx, from, min(from+chunk, n)); err != nil {
					stop(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// until asks again every tick until f says yes.
func until(ctx context.Context, tick time.Duration, f func() (bool, error)) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		ok, err := f()
		if ok || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// items are the tasks from one index up to another.
func items(from, to int, at func(int) item) []item {
	all := make([]item, 0, to-from)
	for i := from; i < to; i++ {
		all = append(all, at(i))
	}
	return all
}

// pause waits for d, unless ctx ends first, which is no error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}
