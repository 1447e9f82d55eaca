package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
)

// worker is the next worker: a scheduler in the test's own process.
type worker struct {
	c    *cell
	sch  *triggerhook.Scheduler
	idle bool                          // it does not consume, and has only the background roles
	hold func(d *triggerhook.Delivery) // before it confirms
	stop func()

	mu    sync.Mutex
	tasks []delivery
}

// delivery is one that the next worker was handed, and confirmed.
type delivery struct {
	*triggerhook.Delivery
	at  time.Time
	err error // of its Confirm
}

// String tells a delivery: its task, its attempt, and "gone" if its row was, or
// "given back" if the test rolled it back.
func (d delivery) String() string {
	switch {
	case errors.Is(d.err, triggerhook.ErrGone):
		return fmt.Sprintf("%s %d gone", d.ID, d.Attempt)
	case errors.Is(d.err, triggerhook.ErrSettled):
		return fmt.Sprintf("%s %d given back", d.ID, d.Attempt)
	case d.err != nil:
		return fmt.Sprintf("%s %d %v", d.ID, d.Attempt, d.err)
	}
	return fmt.Sprintf("%s %d", d.ID, d.Attempt)
}

// next starts the next worker, with that AuditGrace.
func (c *cell) next(grace time.Duration, change ...func(w *worker, p *place)) *worker {
	c.Helper()
	p := c.place
	p.AuditGrace, p.Drain = grace, patience
	w := &worker{c: c, hold: func(*triggerhook.Delivery) {}}
	for _, f := range change {
		f(w, &p)
	}
	w.sch = c.join(p).sch
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		if w.idle {
			done <- w.sch.Run(ctx)
		} else {
			done <- w.sch.Handle(ctx, 8, w.handle)
		}
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, triggerhook.ErrUnavailable) { // it may end before its first check
			c.Errorf("Handle: %v", err)
		}
	})
	c.Cleanup(w.stop)
	return w
}

func (w *worker) handle(_ context.Context, d *triggerhook.Delivery) error {
	got := delivery{Delivery: d, at: time.Now()}
	w.hold(d)
	got.err = d.Confirm(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, got)
	return nil
}

// ends waits until nothing is left in either store, stops the worker, and returns
// what it was delivered, in the order of its confirms. None of it was early, and
// each had its payload.
func (w *worker) ends() []delivery {
	w.c.Helper()
	w.c.until("nothing is left in either store", func() bool {
		n, _, err := w.c.store.Count(w.c.Context(), 10_000)
		if err != nil {
			w.c.Fatal(err)
		}
		for p := range w.c.Partitions {
			st := w.c.state(p)
			n += st.Waiting + st.Claimed
		}
		return n == 0
	})
	w.stop()
	for _, d := range w.tasks {
		if d.at.Before(d.Due) {
			w.c.Errorf("%s was delivered %s before its time", d, d.Due.Sub(d.at))
		}
		if want := taskOf(d.ID, d.Due).Payload; !bytes.Equal(d.Payload, want) {
			w.c.Errorf("%s was delivered with %d bytes of payload, want %d", d, len(d.Payload), len(want))
		}
	}
	return w.tasks
}

// delivers waits for the end and compares what was delivered, sorted.
func (w *worker) delivers(want ...string) []delivery {
	w.c.Helper()
	all := w.ends()
	got := make([]string, len(all))
	for i, d := range all {
		got[i] = d.String()
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.c.Errorf("killed at %s, and the next worker was delivered %q, want %q", w.c.point, got, want)
	}
	return all
}

// finds checks how many tasks its auditor found missing.
func (w *worker) finds(want uint64) {
	w.c.Helper()
	if st, _ := w.sch.Stats(w.c.Context()); st.Process.AuditFinds != want {
		w.c.Errorf("killed at %s, and the next auditor found %d tasks, want %d", w.c.point, st.Process.AuditFinds, want)
	}
}

// roles changes the next worker into one that does not consume.
func roles(w *worker, _ *place) { w.idle = true }
