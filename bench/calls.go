package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// measureCreate measures calls of Create, each of which returns once its tasks
// survive a crash.
func measureCreate(ctx context.Context, s *stage) ([]line, error) {
	shared = payload(s.Payload)
	if err := s.sys.start(ctx); err != nil {
		return nil, err
	}
	due := time.Now().Add(s.Variant.Ahead)
	l, err := s.calls(ctx, func(ctx context.Context, from, to int) error {
		return s.sys.create(ctx, items(from, to, func(i int) item { return s.task(i, due) }))
	})
	if err != nil {
		return nil, err
	}
	return []line{l}, s.stands(ctx, s.N)
}

// measureDelete measures calls of Delete of tasks that wait for their time.
func measureDelete(ctx context.Context, s *stage) ([]line, error) {
	if err := s.sys.start(ctx); err != nil {
		return nil, err
	}
	due := time.Now().Add(s.Variant.Ahead)
	if s.Variant.PerCall > 1 && s.System == "asynq" {
		return nil, s.sys.delete(ctx, make([]string, s.Variant.PerCall))
	}
	if err := s.sys.fill(ctx, s.N, func(i int) item { return s.task(i, due) }); err != nil {
		return nil, err
	}
	l, err := s.calls(ctx, func(ctx context.Context, from, to int) error {
		ids := make([]string, 0, to-from)
		for i := from; i < to; i++ {
			ids = append(ids, idOf(i))
		}
		return s.sys.delete(ctx, ids)
	})
	if err != nil {
		return nil, err
	}
	return []line{l}, s.stands(ctx, 0)
}

// calls measures calls that together do all tasks, each caller one after another.
func (s *stage) calls(ctx context.Context, f func(ctx context.Context, from, to int) error) (line, error) {
	per := min(s.Variant.PerCall, s.N)
	took := make([]time.Duration, (s.N+per-1)/per)
	var n atomic.Int64
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return line{}, err
	}
	began := time.Now()
	err := each(ctx, s.N, per, s.Workers, func(ctx context.Context, from, to int) error {
		at := time.Now()
		err := f(ctx, from, to)
		took[n.Add(1)-1] = time.Since(at)
		return err
	})
	all := time.Since(began)
	if err != nil {
		return line{}, err
	}
	r, err := s.meter.end(ctx, s.N)
	if err != nil {
		return line{}, err
	}
	l := s.line(r)
	l.RatePerS = perSecond(s.N, all)
	l.spread(took, false)
	return l, nil
}

// stands holds the durable store to as many tasks as there should be.
func (s *stage) stands(ctx context.Context, want int) error {
	got, err := s.sys.left(ctx, want)
	if err == nil && got != want {
		err = fmt.Errorf("the store holds %d tasks, it should hold %d", got, want)
	}
	return err
}

// measureGrow measures single calls beside a table of many rows.
func measureGrow(ctx context.Context, s *stage) ([]line, error) {
	if err := s.sys.start(ctx); err != nil {
		return nil, err
	}
	rows, far := s.Variant.Rows, time.Now().Add(30*24*time.Hour)
	err := s.sys.fill(ctx, rows, func(i int) item { return s.task(i, far.Add(time.Duration(i)*time.Millisecond)) })
	if err != nil {
		return nil, err
	}
	book := newLedger(rows + s.N)
	var created, claimed, confirmed []time.Duration
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	for i := rows; i < rows+s.N; i++ {
		it := s.task(i, time.Now())
		book.expect(i, it.due)
		at := time.Now()
		if err := s.sys.create(ctx, []item{it}); err != nil {
			return nil, err
		}
		created = append(created, time.Since(at))
	}
	made, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	if isPeer(s.System) {
		lines := []line{s.verb("create", made, created)}
		for _, verb := range []string{"claim", "confirm"} {
			l := s.verb(verb, nil, nil)
			l.Cannot = s.System + " has no call that claims or confirms a task: it runs handlers"
			lines = append(lines, l)
		}
		return lines, nil
	}
	if err := s.meter.begin(ctx, s.sys); err != nil {
		return nil, err
	}
	last := time.Now()
	err = s.consume(ctx, book, consumption{consumers: 1, confirm: true, deliver: func(id string, at time.Time) {
		claimed = append(claimed, time.Since(last))
		book.deliver(id, at)
	}, wait: func(d time.Duration) {
		confirmed, last = append(confirmed, d), time.Now()
	}})
	if err != nil {
		return nil, err
	}
	done, err := s.meter.end(ctx, s.N)
	if err != nil {
		return nil, err
	}
	return []line{s.verb("create", made, created), s.verb("claim", done, claimed), s.verb("confirm", done, confirmed)}, book.judge()
}

// verb is the line of one kind of call that one caller made again and again.
func (s *stage) verb(name string, r *reading, took []time.Duration) line {
	l := s.line(r)
	l.Variant, l.Rows = name, s.Variant.Rows
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	l.RatePerS = perSecond(len(took), sum)
	l.spread(slices.Clone(took), false)
	return l
}
