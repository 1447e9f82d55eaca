package main

import (
	"context"
	"errors"
	"time"
)

// measureIdle measures what worker processes cost while nothing is due: commands of Redis, statements of MySQL, and processor
// time of all processes.
func measureIdle(ctx context.Context, s *stage) ([]line, error) {
	if h, is := s.sys.(*hook); is && h.single {
		return nil, cannot("embedded is one process, which locks its file")
	}
	if s.System == "limit" {
		return nil, cannot("limit is one process")
	}
	c, err := s.hire(s.Workers)
	if err != nil {
		return nil, errors.Join(err, ignore(c.dismiss(newLedger(0))))
	}
	idle, err := s.idle(ctx)
	if _, e := c.dismiss(newLedger(0)); err != nil || e != nil {
		return nil, errors.Join(err, e)
	}
	l := s.line(nil)
	idle.fill(&l)
	return []line{l}, nil
}

// idleness is what was used while nothing was due.
type idleness struct {
	watched          time.Duration
	cpu              map[string]time.Duration
	commands, asked  float64
	hasRedis, hasSQL bool
}

// idle counts what the servers are asked, and what processor time all processes take, while nothing is due: commands of
// Redis, those in scripts too, and statements of MySQL; what the meter asks itself is left out.
func (s *stage) idle(ctx context.Context) (*idleness, error) {
	settle, watched := s.idleTimes()
	_ = pause(ctx, settle)
	before, err := s.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	_ = pause(ctx, watched)
	after, err := s.meter.read(ctx)
	if err != nil {
		return nil, err
	}
	return &idleness{watched: after.at.Sub(before.at), cpu: since(before.cpu, after.cpu), commands: after.commands - before.commands - ownCommands,
		asked: after.asked - before.asked - 1, hasRedis: s.meter.rdb != nil, hasSQL: s.meter.db != nil}, ctx.Err()
}

// idleTimes are how long the commotion of the start may take, and how long it is watched what happens then. A job with few
// tasks is one that only sees whether it works.
func (s *stage) idleTimes() (settle, watched time.Duration) {
	switch {
	case s.N < fullIdle:
		return time.Second, time.Second
	case s.Scenario == "idle":
		return 5 * time.Second, 10 * time.Second
	}
	return 3 * time.Second, 5 * time.Second
}

// fullIdle is the least number of tasks with which a fleet is measured at length.
const fullIdle = 50_000

// fill puts into l what the system has servers for.
func (i *idleness) fill(l *line) {
	per := func(v float64) *float64 {
		v /= i.watched.Seconds()
		return &v
	}
	if i.hasRedis {
		l.IdleRedisCmdsPerS = per(i.commands)
	}
	if i.hasSQL {
		l.IdleMySQLStmtsPerS = per(i.asked)
	}
	if l.Scenario != "idle" {
		return
	}
	l.CPUBy = map[string]float64{}
	for name, cpu := range i.cpu {
		l.CPUS += cpu.Seconds()
		l.CPUBy[name] = cpu.Seconds()
	}
	l.IdleCPUMSPerS = per(1000 * l.CPUS)
}
