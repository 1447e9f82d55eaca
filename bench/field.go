package main

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// field is the servers of a run, with the delays before them.
type field struct {
	direct, clients place
	versions        map[string]string
	servers         map[string]interface{ PID() int }
	bullmq          string // the folder of its program
	closes          []io.Closer
}

// mysqlArgs make MySQL one that measures, not one that tests: room for a table's
// pages, and a log that is not full all the time.
var mysqlArgs = []string{"--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=2G"}

// flushing are the settings of a store that flushes at each commit, and of one that does so up to a second later.
func flushing(unflushed bool) (sql, redis, postgres []string) {
	if unflushed {
		return []string{"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"}, []string{"--appendonly", "yes", "--appendfsync", "everysec"},
			[]string{"-c", "synchronous_commit=off"}
	}
	return []string{"--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"}, []string{"--appendonly", "yes", "--appendfsync", "always"}, nil
}

// bring starts the servers that the systems asked for need.
func bring(ctx context.Context, w wish) (f *field, err error) {
	f = &field{versions: map[string]string{}, servers: map[string]interface{ PID() int }{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	own := slices.Contains(w.systems, "triggerhook") || slices.Contains(w.systems, "limit")
	sqlFlush, redisFlush, postgresFlush := flushing(w.unflushed)
	for _, s := range []struct {
		name   string
		kind   testserver.Kind
		wanted bool
		args   []string
		at     func(p *place, addr string)
	}{
		{"mysql", testserver.MySQL, own, slices.Concat(mysqlArgs, sqlFlush), func(p *place, addr string) {
			cfg := mysql.NewConfig()
			cfg.User, cfg.Net, cfg.Addr = "root", "tcp", addr
			p.MySQL = cfg.FormatDSN()
		}},
		{"redis", testserver.Redis, own, nil, func(p *place, addr string) { p.Redis = addr }},
		{"flushed", testserver.Redis, slices.Contains(w.systems, "asynq") || slices.Contains(w.systems, "bullmq"), redisFlush,
			func(p *place, addr string) { p.Flushed = addr }},
		{"postgres", testserver.Postgres, slices.Contains(w.systems, "river"), postgresFlush,
			func(p *place, addr string) { p.Postgres = "postgres://postgres@" + addr }},
	} {
		if !s.wanted {
			continue
		}
		started, err := testserver.Start(ctx, s.kind, s.args...)
		if err != nil {
			return f, err
		}
		f.servers[s.name] = started
		f.closes = append(f.closes, started)
		if f.versions[strings.Replace(s.name, "flushed", "redis", 1)], err = started.Version(); err != nil {
			return f, err
		}
		if err = f.place(started.Addr, w.rtt, s.at); err != nil {
			return f, err
		}
	}
	f.library()
	return f, f.bringPeers(ctx, w)
}

// place notes where a server is, and where its clients reach it: behind a delay if there is to be one.
func (f *field) place(addr string, rtt time.Duration, at func(p *place, addr string)) error {
	at(&f.direct, addr)
	if rtt > 0 {
		p, err := newProxy(addr, rtt)
		if err != nil {
			return err
		}
		f.closes = append([]io.Closer{p}, f.closes...)
		addr = p.addr()
	}
	at(&f.clients, addr)
	return nil
}

// bringPeers brings what no package of servers has: NATS, which is a process of this program, and BullMQ, which npm installs.
func (f *field) bringPeers(ctx context.Context, w wish) (err error) {
	if slices.Contains(w.systems, "bullmq") {
		if f.bullmq, err = installBullMQ(ctx); err != nil {
			return err
		}
		if f.versions["bullmq"], err = bullmqVersion(f.bullmq); err != nil {
			return err
		}
	}
	if !slices.Contains(w.systems, "nats") {
		return nil
	}
	s, err := startNATS(ctx, w.unflushed)
	if err != nil {
		return err
	}
	f.servers["nats"], f.versions["nats"] = s, server.VERSION
	f.closes = append(f.closes, s)
	return f.place(s.addr, w.rtt, func(p *place, addr string) { p.NATS = addr })
}

// library notes the versions of what is measured.
func (f *field) library() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, d := range info.Deps {
		switch d.Path {
		case "github.com/hibiken/asynq":
			f.versions["asynq"] = d.Version
		case "github.com/riverqueue/river":
			f.versions["river"] = d.Version
		}
	}
	_, file, _, _ := runtime.Caller(0)
	if out, err := exec.Command("git", "-C", filepath.Dir(file), "describe", "--always", "--dirty", "--abbrev=12").Output(); err == nil {
		f.versions["triggerhook"] = strings.TrimSpace(string(out)) // go run stamps none
	}
}

// pids are the servers that a system uses.
func (f *field) pids(system string) map[string]int {
	all := map[string]int{}
	for _, name := range map[string][]string{"triggerhook": {"mysql", "redis"}, "limit": {"mysql", "redis"}, "asynq": {"flushed"}, "river": {"postgres"}, "nats": {"nats"}, "bullmq": {"flushed"}}[system] {
		if s := f.servers[name]; s != nil {
			all[name] = s.PID()
		}
	}
	return all
}

// Close stops all of it.
func (f *field) Close() error {
	var errs []error
	for _, c := range f.closes {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
