package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// measureNow measures how long a task takes from the call that creates it, due at once, to its handler, while nothing else
// happens: one caller, which waits for each delivery and then for some time. The wait varies, so that no system that polls is
// always met at the same point of its period.
func measureNow(ctx context.Context, s *stage) ([]line, error) {
	if s.System == "limit" {
		return nil, cannot("limit has no scheduler that would notice a new task")
	}
	if err := s.sys.start(ctx); err != nil {
		return nil, err
	}
	book := newLedger(s.N)
	began := time.Now().Truncate(time.Millisecond)
	for i := range s.N {
		book.expect(i, began)
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	p := &pinger{stage: s, took: make([]time.Duration, 0, s.N), came: make(chan time.Time, 1)}
	calls, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.run(calls) }()
	err := s.consume(ctx, book, consumption{consumers: s.Workers, confirm: true, deliver: func(id string, at time.Time) {
		book.deliver(id, at)
		p.deliver(at)
	}})
	if err != nil {
		stop()
		return nil, errors.Join(err, <-ended)
	}
	if err := <-ended; err != nil {
		return nil, err
	}
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	l := s.line(r)
	l.RatePerS = perSecond(s.N, time.Since(began))
	l.spread(p.took, false)
	l.Duplicates = book.twice.Load()
	return []line{l}, book.judge()
}

// pinger creates one task after another, each once the one before has come.
type pinger struct {
	*stage
	took []time.Duration
	came chan time.Time
}

// deliver tells run when a task has come. A task that comes again finds no room, and is the ledger's affair.
func (p *pinger) deliver(at time.Time) {
	select {
	case p.came <- at:
	default:
	}
}

func (p *pinger) run(ctx context.Context) error {
	for i := range p.N {
		_ = pause(ctx, 10*time.Millisecond+rand.N(30*time.Millisecond))
		began := time.Now()
		it := p.task(i, began)
		it.now = true
		if err := p.sys.create(ctx, []item{it}); err != nil {
			return fmt.Errorf("create a task for at once: %w", err)
		}
		select {
		case at := <-p.came:
			p.took = append(p.took, at.Sub(began))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
