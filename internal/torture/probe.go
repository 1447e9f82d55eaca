package main

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

const (
	probeEvery = 10 * time.Millisecond
	probeTime  = time.Second // that one write may take
	// served is for how long a fault waits for servers that take writes again, and then is
	// an error of the run.
	served = 60 * time.Second
)

// probe writes again and again, and finds the longest time in which no write succeeded. It
// stops with end.
type probe struct {
	write func(ctx context.Context) error
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	last    time.Time // the last success, or the beginning
	longest time.Duration
}

func newProbe(write func(ctx context.Context) error) *probe {
	ctx, stop := context.WithCancel(context.Background())
	p := &probe{write: write, stop: stop, done: make(chan struct{}), last: time.Now()}
	go p.run(ctx)
	return p
}

func (p *probe) run(ctx context.Context) {
	defer close(p.done)
	for ; ctx.Err() == nil; pause(ctx, probeEvery) {
		if p.once(ctx) {
			p.mu.Lock()
			now := time.Now()
			p.longest, p.last = max(p.longest, now.Sub(p.last)), now
			p.mu.Unlock()
		}
	}
}

// once is one write. A client may heed the end of a context late, and is not waited for.
func (p *probe) once(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.write(ctx) }()
	select {
	case err := <-done:
		return err == nil
	case <-ctx.Done():
		return false
	}
}

// succeeded waits for a write that succeeds after that moment.
func (p *probe) succeeded(after time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), served)
	defer cancel()
	for ctx.Err() == nil {
		p.mu.Lock()
		last := p.last
		p.mu.Unlock()
		if last.After(after) {
			return nil
		}
		pause(ctx, probeEvery)
	}
	return ctx.Err()
}

// end stops the probe, and returns the longest time without a success, in microseconds.
func (p *probe) end() int64 {
	p.stop()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.longest.Microseconds()
}

// failover is a fault of a server that another takes the place of: how long that takes is
// measured by two probes.
type failover struct {
	// engine writes to whichever server takes the write; client as a plain client of the
	// driver does, nil if that is the same.
	engine, client *probe
}

// fail records a failover, which do brings about; the probes end when the fault does.
func (st *stage) fail(e history.Event, f failover, do func(f failover) error) error {
	return st.hitEnd(e, func(end *history.Event) error {
		err := do(f)
		end.EngineUS = max(1, f.engine.end())
		if f.client != nil {
			end.ClientUS = f.client.end()
		}
		return err
	})
}
