package main

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// outage stops Redis, which comes back empty, and then MySQL, while tasks are
// created one by one.
func outage(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.untilDue(ctx, r.size.span/10)
	p := r.produce(ctx)
	pause(ctx, r.size.span/4)
	from, to, err := r.down(ctx, r.redis)
	if err != nil {
		p.stop()
		return err
	}
	pause(ctx, r.size.span)
	_, _, err = r.down(ctx, r.mysql)
	if err != nil {
		p.stop()
		return err
	}
	pause(ctx, r.size.span/2)
	p.stop()
	limit := 200 * time.Millisecond
	if r.scaled {
		limit *= 20
	}
	p.judge(from, to, limit)
	return nil
}

// down kills a server, leaves it dead for the span, and boots it again. It returns
// from when to when it surely was away.
func (r *run) down(ctx context.Context, s *testserver.Server) (from, to time.Time, err error) {
	s.Kill()
	from = time.Now()
	pause(ctx, r.size.span)
	to = time.Now()
	err = s.Boot(ctx)
	r.figure(string(s.Kind)+"_away_s", time.Since(from).Seconds())
	return from, to, err
}

// snapshot has Redis write down what it holds, lets work go on, and then boots it
// from that.
func snapshot(ctx context.Context, r *run) error {
	if err := r.create(ctx); err != nil {
		return err
	}
	r.untilDue(ctx, r.size.span/20)
	p := r.produce(ctx)
	defer p.stop()
	if err := r.redis.Snapshot(); err != nil {
		return err
	}
	at := time.Now()
	pause(ctx, r.size.span)
	r.redis.Kill()
	if err := r.redis.Boot(ctx); err != nil {
		return err
	}
	r.figure("snapshot_age_s", time.Since(at).Seconds())
	if n, err := r.driver.rdb.DBSize(ctx).Result(); err != nil || n == 0 {
		r.broke("the snapshot holds %d keys, %v: the run shows nothing", n, err)
	}
	pause(ctx, r.size.span/20+time.Second)
	return nil
}
