package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// meter reads what a measurement costs: of this process, of its workers once they
// have ended, and of the servers, which it asks past the delay.
type meter struct {
	j     job
	db    *sql.DB       // nil: the system has no MySQL
	rdb   *redis.Client // nil: no Redis
	began sums
	calls func() int64
}

// sums are readings that only grow.
type sums struct {
	at    time.Time
	cpu   map[string]time.Duration // of the clients, and of each server
	alloc uint64
	usec  float64 // of Redis, in scripts
	// commands are those that Redis ran, in scripts too.
	commands float64
	asked    float64 // statements, of MySQL
	sent     int64   // commands, to Redis
	rssMax   float64 // MiB
}

// reading is what a measurement cost.
type reading struct {
	sums
	tasks   int
	redis   bool
	counted bool // the commands that this process sent to Redis
	mysql   bool
	workers []workerSums // of worker processes
}

func newMeter(j job) (*meter, error) {
	m := &meter{j: j}
	var err error
	switch j.System {
	case "triggerhook", "limit":
		m.rdb = redis.NewClient(&redis.Options{Addr: j.Direct.Redis})
		if m.db, err = sql.Open("mysql", j.Direct.MySQL); err != nil {
			return nil, fmt.Errorf("open MySQL: %w", err)
		}
		m.db.SetMaxOpenConns(1)
	case "asynq", "bullmq":
		m.rdb = redis.NewClient(&redis.Options{Addr: j.Direct.Flushed})
	}
	return m, nil
}

func (m *meter) close() {
	if m.db != nil {
		_ = m.db.Close()
	}
	if m.rdb != nil {
		_ = m.rdb.Close()
	}
}

// begin begins a measurement of what sys does.
func (m *meter) begin(ctx context.Context, sys system) (err error) {
	m.calls = sys.calls
	runtime.GC()
	m.began, err = m.read(ctx)
	return err
}

// end ends it; tasks is how many it was about.
func (m *meter) end(ctx context.Context, tasks int, workers ...workerSums) (*reading, error) {
	now, err := m.read(ctx)
	if err != nil {
		return nil, err
	}
	b := m.began
	r := &reading{tasks: tasks, redis: m.rdb != nil, counted: m.calls != nil && m.calls() >= 0, mysql: m.db != nil, workers: workers, sums: sums{at: now.at, cpu: since(b.cpu, now.cpu),
		alloc: now.alloc - b.alloc, usec: now.usec - b.usec, asked: now.asked - b.asked - 1, sent: now.sent - b.sent, rssMax: now.rssMax}}
	return r, nil
}

func (m *meter) read(ctx context.Context) (s sums, err error) {
	s.at = time.Now()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s.alloc = mem.TotalAlloc
	if m.calls != nil {
		s.sent = m.calls()
	}
	if m.rdb != nil {
		if s.commands, s.usec, err = m.redis(ctx); err != nil {
			return s, err
		}
	}
	if m.db != nil {
		var name string
		if err = m.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &s.asked); err != nil {
			return s, fmt.Errorf("ask MySQL: %w", err)
		}
	}
	s.cpu, s.rssMax, err = usage(m.j.PIDs)
	return s, err
}

// ownCommands is how many commands of a reading the next one counts.
const ownCommands = 1

// redis is how many commands Redis ran, in scripts too, and how long its scripts took, in
// which all is done by the library, and all but some commands by asynq.
func (m *meter) redis(ctx context.Context) (commands, usec float64, err error) {
	info, err := m.rdb.InfoMap(ctx, "stats", "commandstats").Result()
	if err == nil {
		commands, err = strconv.ParseFloat(info["Stats"]["total_commands_processed"], 64)
	}
	for _, verb := range []string{"evalsha", "eval"} {
		if text := info["Commandstats"]["cmdstat_"+verb]; text != "" && err == nil {
			var calls, u float64
			_, err = fmt.Sscanf(text, "calls=%f,usec=%f", &calls, &u)
			usec += u
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask Redis: %w", err)
	}
	return commands, usec, nil
}

// redisMB is what Redis holds, and purge what MySQL has still to purge.
func (m *meter) redisMB(ctx context.Context) float64 {
	if m.rdb == nil {
		return 0
	}
	info, err := m.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	text, _, _ := strings.Cut(rest, "\r")
	n, _ := strconv.ParseFloat(text, 64)
	return n / (1 << 20)
}

func (m *meter) purge(ctx context.Context) (n float64) {
	if m.db != nil {
		_ = m.db.QueryRowContext(ctx, "SELECT count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'").Scan(&n)
	}
	return n
}

// usage is the processor time of this process, of its children, those that live too,
// and of the servers; and the most memory that this process had, in MiB.
func usage(pids map[string]int) (cpu map[string]time.Duration, rss float64, err error) {
	var self, ended syscall.Rusage
	err = errors.Join(syscall.Getrusage(syscall.RUSAGE_SELF, &self), syscall.Getrusage(syscall.RUSAGE_CHILDREN, &ended))
	if err != nil {
		return nil, 0, fmt.Errorf("read usage: %w", err)
	}
	cpu = map[string]time.Duration{}
	for _, u := range []syscall.Rusage{self, ended} {
		cpu["clients"] += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for _, child := range children(os.Getpid()) {
		cpu["clients"] += treeCPU(child)
	}
	for name, pid := range pids {
		cpu[name] = treeCPU(pid)
	}
	return cpu, float64(self.Maxrss) / 1024, nil
}

// since is what was used between two readings.
func since(before, after map[string]time.Duration) map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, cpu := range after {
		used[name] = cpu - before[name]
	}
	return used
}

// treeCPU is the processor time of a server, with its child processes: those that
// live, and those that have ended.
func treeCPU(pid int) (cpu time.Duration) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	for i := 11; i < 15 && i < len(fields); i++ { // utime, stime, and those of waited-for children, in hundredths
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	for _, child := range children(pid) {
		cpu += treeCPU(child)
	}
	return cpu
}

// children are the processes that a process has started and that live.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range lists {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// fill puts a reading into a result.
func (r *reading) fill(l *line) {
	per := 1 / float64(max(r.tasks, 1))
	alloc, sent, rss := float64(r.alloc), float64(r.sent), r.rssMax
	for _, w := range r.workers {
		alloc, sent, rss = alloc+float64(w.Alloc), sent+float64(w.Sent), max(rss, w.RSSMB)
	}
	l.RSSMB, l.AllocBytesPerTask, l.CPUBy = rss, alloc*per, map[string]float64{}
	for name, cpu := range r.cpu {
		l.CPUS += cpu.Seconds()
		l.CPUBy[name] = cpu.Seconds()
	}
	if r.redis {
		usec := r.usec * per
		l.RedisUSPerTask = &usec
	}
	if cmds := sent * per; r.redis && r.counted {
		l.RedisCmdsPerTask = &cmds
	}
	if r.mysql {
		stmts := r.asked * per
		l.MySQLStmtsPerTask = &stmts
	}
}
