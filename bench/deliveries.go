package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// stuck is how long no delivery may come before a measurement is given up: tasks
// are lost then.
const stuck = 60 * time.Second

// consume consumes until all that book expects has come and is confirmed, and then
// ends the consuming.
func (s *stage) consume(ctx context.Context, book *ledger, c consumption) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	before, err := s.sys.settled(ctx)
	if err != nil {
		return err
	}
	total := before + int(book.left.Load())
	go func() { ended <- s.sys.consume(work, c) }()
	err = s.await(ctx, book)
	if err == nil && c.confirm {
		short, cancel := context.WithTimeout(ctx, stuck)
		err = until(short, time.Millisecond, func() (bool, error) {
			n, err := s.sys.settled(short)
			return n >= total, err
		})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("confirms do not land")
		}
	}
	stop()
	if e := <-ended; work.Err() == nil || e != nil && !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	return err
}

// await returns once all has come, or nothing has for too long.
func (s *stage) await(ctx context.Context, book *ledger) error {
	t := time.NewTicker(stuck)
	defer t.Stop()
	for last := int64(-1); ; {
		select {
		case <-book.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			left := book.left.Load()
			if left == last {
				return fmt.Errorf("no delivery within %s: %w", stuck, errors.Join(book.judge(), errors.New("given up")))
			}
			last = left
		}
	}
}

// measureSend measures the way of overdue tasks to the last delivery (send) and to
// the last row deleted (confirm): from rows, with nothing in the hot set; or from
// the hot set.
//
// The rate counts from Run on, as first_ms and the percentiles do.
func measureSend(ctx context.Context, s *stage) (lines []line, err error) {
	book := newLedger(s.N)
	past := time.Now().Add(-time.Hour)
	if err := s.overdue(ctx, book, past); err != nil {
		return nil, err
	}
	if s.Variant.Hot {
		l, err := s.load(ctx)
		if err != nil {
			return nil, err
		}
		if s.Scenario == "send" {
			lines = append(lines, l)
		}
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.consume(ctx, book, consumption{consumers: s.Workers, rows: !s.Variant.Hot, confirm: s.System != "limit" || s.Scenario == "confirm",
		deliver: book.deliver}); err != nil {
		return nil, err
	}
	all := time.Since(began)
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	l := s.line(r)
	l.spread(book.since(began), true)
	if l.RatePerS = perSecond(s.N, all); s.Scenario == "send" {
		l.RatePerS = perSecond(s.N, time.Duration(l.MaxMS*float64(time.Millisecond)))
	}
	l.Duplicates = book.twice.Load()
	return append(lines, l), book.judge()
}

// overdue fills the store with tasks that are to come at once, a millisecond apart.
func (s *stage) overdue(ctx context.Context, book *ledger, past time.Time) error {
	at := func(i int) item { return s.task(i, past.Add(time.Duration(i%3_000_000)*time.Millisecond)) }
	for i := range s.N {
		book.expect(i, at(i).due)
	}
	return s.sys.fill(ctx, s.N, at)
}

// load preloads all rows and measures that.
func (s *stage) load(ctx context.Context) (line, error) {
	if _, err := s.sys.hot(ctx); err != nil {
		return line{}, err
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return line{}, err
	}
	var last time.Time
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- s.sys.start(ctx) }()
	err := until(ctx, 5*time.Millisecond, func() (bool, error) {
		n, err := s.sys.hot(ctx)
		if last = time.Now(); n == 0 {
			began = last // the last moment at which none was in
		}
		if n > 0 && time.Since(began) > stuck {
			err = fmt.Errorf("%d of %d tasks are preloaded after %s", n, s.N, stuck)
		}
		return n >= s.N, err
	})
	if err = errors.Join(err, <-ended); err != nil {
		return line{}, err
	}
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return line{}, err
	}
	l := s.line(r)
	l.Variant, l.RatePerS = "load", perSecond(s.N, last.Sub(began))
	return l, nil
}

// measureLateness measures how late tasks come while others are created at the
// rate at which they fall due. Its rate is that of creating them. Sustained asks for more than
// two cores can do: its rate is that of all three, creating, delivering and confirming, and counts from the first delivery to the last.
func measureLateness(ctx context.Context, s *stage) ([]line, error) {
	if s.System == "limit" {
		return nil, cannot("limit has no scheduler that could be late")
	}
	if err := s.sys.start(ctx); err != nil {
		return nil, err
	}
	book := newLedger(s.N)
	begin := time.Now().Add(500 * time.Millisecond)
	moment := func(i int) time.Time {
		return begin.Add(time.Duration(i) * time.Second / time.Duration(s.Variant.Rate))
	}
	ahead := func() time.Duration { return time.Second + rand.N(2*time.Second) }
	if s.Scenario == "sustained" { // in the order in which they are created, so that the last delivery follows the last creation
		ahead = func() time.Duration { return time.Second }
	}
	tasks := items(0, s.N, func(i int) item { return s.task(i, moment(i).Add(ahead())) })
	for i, t := range tasks {
		book.expect(i, t.due)
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	var end atomic.Int64 // when the last create returned
	took := make([]time.Duration, s.N)
	work, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	created := make(chan struct{})
	go func() {
		defer close(created)
		err := each(work, s.N, 1, 256, func(ctx context.Context, i, _ int) error {
			_ = pause(ctx, time.Until(moment(i)))
			began := time.Now()
			err := s.sys.create(ctx, tasks[i:i+1])
			took[i] = time.Since(began)
			end.Store(time.Now().UnixNano())
			return err
		})
		if err != nil {
			fail(fmt.Errorf("create: %w", err))
		}
	}()
	if err := s.consume(work, book, consumption{consumers: s.Workers, confirm: true, deliver: book.deliver}); err != nil {
		return nil, errors.Join(err, context.Cause(work))
	}
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	l := s.line(r)
	if l.RatePerS = perSecond(s.N, time.Unix(0, end.Load()).Sub(begin)); s.Scenario == "sustained" {
		first, last := book.span()
		l.RatePerS = perSecond(s.N, last.Sub(first))
	}
	l.spread(book.late(), true)
	<-created
	l.spreadCreates(took)
	l.Duplicates = book.twice.Load()
	return []line{l}, book.judge()
}

// measureBacklog measures how a large backlog drains.
func measureBacklog(ctx context.Context, s *stage) ([]line, error) {
	book := newLedger(s.N)
	if err := s.overdue(ctx, book, time.Now().Add(-2*time.Hour)); err != nil {
		return nil, err
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	watch, stop := context.WithCancel(ctx)
	seen := make(chan []point, 1)
	go func() { seen <- s.watch(watch, book) }()
	began := time.Now()
	err := s.consume(ctx, book, consumption{consumers: s.Workers, rows: true, confirm: true, deliver: book.deliver})
	all := time.Since(began)
	stop()
	series := <-seen
	if err != nil {
		return nil, err
	}
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	l := s.line(r)
	l.spread(book.since(began), true)
	l.RatePerS = perSecond(s.N, all)
	l.Series = tenths(book.since(began), series)
	l.Duplicates = book.twice.Load()
	return []line{l}, book.judge()
}

// watch looks at the servers until it is stopped; Done is how much was delivered.
func (s *stage) watch(ctx context.Context, book *ledger) (all []point) {
	began := time.Now()
	for ctx.Err() == nil {
		all = append(all, point{Done: s.N - int(book.left.Load()), AtS: time.Since(began).Seconds(), RedisMB: s.meter.redisMB(ctx), Purge: s.meter.purge(ctx)})
		_ = pause(ctx, 200*time.Millisecond)
	}
	return all
}

// tenths makes ten points of deliveries, each at the time that it took to come to
// there, and what was seen at the servers by then.
func tenths(since []time.Duration, seen []point) (all []point) {
	slices.Sort(since)
	from := time.Duration(0)
	if len(since) > 0 {
		from = since[0]
	}
	for k, done := 1, 0; k <= 10; k++ {
		end := len(since) * k / 10
		if end == done {
			continue
		}
		p := point{Done: end, AtS: since[end-1].Seconds(), RatePerS: perSecond(end-done, since[end-1]-from)}
		for _, s := range seen {
			if s.AtS <= p.AtS {
				p.RedisMB, p.Purge = max(p.RedisMB, s.RedisMB), s.Purge
			}
		}
		all, done, from = append(all, p), end, since[end-1]
	}
	return all
}
