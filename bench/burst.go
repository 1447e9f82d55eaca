package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureBurst measures how soon tasks of one instant come: burst, and fleet with
// its numbers of worker processes. Before that, with nothing to do, it counts what
// the processes ask of the servers.
func measureBurst(ctx context.Context, s *stage) ([]line, error) {
	h, isHook := s.sys.(*hook)
	if isHook && h.single && s.Scenario == "fleet" {
		return nil, cannot("embedded is one process, which locks its file")
	}
	if s.Variant.Fails > 0 && !isHook {
		return nil, cannot("failures are measured for the library alone")
	}
	_, isLimit := s.sys.(*limit)
	if isLimit && s.Scenario == "fleet" {
		return nil, cannot("limit is one process")
	}
	book := newLedger(s.N)
	if isLimit || isHook && h.single {
		return s.burstHere(ctx, book)
	}
	c, err := s.hire(s.Workers)
	if err != nil {
		return nil, errors.Join(err, ignore(c.dismiss(book)))
	}
	var idle *idleness
	if s.Scenario == "fleet" {
		idle, err = s.idle(ctx)
	}
	var instant time.Time
	if err == nil {
		instant, err = s.appoint(ctx, book)
	}
	if err == nil && isHook {
		err = s.preloaded(ctx, instant)
	}
	if err == nil {
		err = s.meter.begin(ctx, s.sys)
	}
	if err == nil {
		err = s.awaitCrew(ctx, c, instant)
	}
	sums, e := c.dismiss(book)
	if err = errors.Join(err, e); err != nil {
		return nil, errors.Join(err, book.judge())
	}
	r, err := s.meter.end(ctx, s.N, sums...)
	if err != nil {
		return nil, err
	}
	l := s.burstLine(r, book, instant)
	if idle != nil {
		idle.fill(&l)
	}
	return []line{l}, errors.Join(book.judge(), s.stands(ctx, 0))
}

func ignore(_ []workerSums, err error) error { return err }

func (s *stage) burstLine(r *reading, book *ledger, instant time.Time) line {
	l := s.line(r)
	d := book.since(instant)
	l.spread(d, true)
	l.RatePerS = perSecond(s.N, time.Duration(l.MaxMS*float64(time.Millisecond)))
	l.Duplicates = book.twice.Load()
	return l
}

// burstHere is the burst of a system that is one process.
func (s *stage) burstHere(ctx context.Context, book *ledger) ([]line, error) {
	if err := s.sys.start(ctx); err != nil {
		return nil, err
	}
	instant, err := s.appoint(ctx, book)
	if err != nil {
		return nil, err
	}
	if l, ok := s.sys.(*limit); ok {
		err = l.start(ctx) // no process of it would preload them
	}
	if err = errors.Join(err, s.preloaded(ctx, instant)); err != nil {
		return nil, err
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	_ = pause(ctx, time.Until(instant)-100*time.Millisecond)
	if err := s.consume(ctx, book, consumption{consumers: s.Workers, confirm: true, deliver: book.deliver, fails: s.Variant.fails}); err != nil {
		return nil, err
	}
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	return []line{s.burstLine(r, book, instant)}, errors.Join(book.judge(), s.stands(ctx, 0))
}

// appoint stores all tasks for one instant that leaves time to preload them: a whole
// second, which all systems keep.
func (s *stage) appoint(ctx context.Context, book *ledger) (time.Time, error) {
	pace := 12_000 // a second, which a busy machine creates too
	if isPeer(s.System) {
		pace = 2000
	}
	if s.System == "nats" {
		pace = 100 // on a disk that others use too: it flushes one message after another
	}
	instant := time.Now().Add(3*time.Second + time.Duration(s.N)*time.Second/time.Duration(pace)).Truncate(time.Second)
	for i := range s.N {
		book.expect(i, instant)
	}
	at := func(i int) item { return s.task(i, instant) }
	var err error
	if h, ok := s.sys.(*hook); ok { // its feeder has been there already
		err = each(ctx, s.N, 1000, 4, func(ctx context.Context, from, to int) error { return h.create(ctx, items(from, to, at)) })
	} else {
		err = s.sys.fill(ctx, s.N, at)
	}
	if err == nil && time.Now().After(instant) {
		err = errors.New("creating the tasks took until they were due")
	}
	return instant, err
}

// preloaded waits until all is in the hot set, which must be before it is due.
func (s *stage) preloaded(ctx context.Context, before time.Time) error {
	return until(ctx, 50*time.Millisecond, func() (bool, error) {
		n, err := s.sys.hot(ctx)
		if err == nil && n < s.N && time.Now().After(before) {
			err = fmt.Errorf("%d of %d tasks were preloaded when they fell due", n, s.N)
		}
		return n >= s.N, err
	})
}

// awaitCrew waits until the workers have all tasks and their rows are gone.
func (s *stage) awaitCrew(ctx context.Context, c *crew, instant time.Time) error {
	last, at := 0, instant
	return until(ctx, 100*time.Millisecond, func() (bool, error) {
		n := c.delivered()
		if n > last {
			last, at = n, time.Now()
		}
		if n >= s.N {
			left, err := s.sys.left(ctx, 1)
			if err != nil || left == 0 {
				return true, err
			}
		}
		if time.Since(at) > stuck {
			return false, fmt.Errorf("nothing happened within %s, at %d deliveries of %d", stuck, n, s.N)
		}
		return false, nil
	})
}
