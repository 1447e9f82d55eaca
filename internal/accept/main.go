// Command accept runs the heavy runs: worker processes of this binary on one MySQL
// and one Redis that it brings, and a verdict from their logs. make accept runs
// all; the tests have each in a twentieth of its size.
//
//	go run ./internal/accept [--scenario burst,steady,kill,moment]
//
// It prints one line a scenario, and its exit status is 1 if a promise was broken.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// scenario is one heavy run.
type scenario struct {
	name    string
	tasks   int
	lead    time.Duration // from the first create to the first due time
	spread  time.Duration // over which they fall due
	workers int
	kills   int
	hold    time.Duration // how long a worker has a task in hand
}

var scenarios = []scenario{
	{name: "burst", tasks: 100_000, lead: 12 * time.Second, spread: 10 * time.Second, workers: 4},
	{name: "steady", tasks: 60_000, lead: 10 * time.Second, spread: 30 * time.Second, workers: 4},
	{name: "kill", tasks: 100_000, lead: 12 * time.Second, spread: 60 * time.Second, workers: 4, kills: 20, hold: 25 * time.Millisecond},
	{name: "moment", tasks: 300_000, lead: 40 * time.Second, workers: 4},
}

func main() {
	names := flag.String("scenario", "", "names, with commas; all if empty")
	worker := flag.String("worker", "", "run as a worker: DSN|redis|namespace|log|hold")
	flag.Parse()
	if *worker != "" {
		if err := work(*worker); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	ok := true
	for _, s := range scenarios {
		if *names != "" && !slices.Contains(strings.Split(*names, ","), s.name) {
			continue
		}
		kept, err := s.run(context.Background())
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		}
		ok = ok && kept && err == nil
	}
	if !ok {
		os.Exit(1)
	}
}

// open opens the stores of a namespace.
func open(dsn, addr, ns string) (*triggerhook.Scheduler, durable.Store, error) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, nil, err
	}
	store, err := durable.NewMySQL(db, durable.Options{Namespace: ns})
	if err != nil {
		return nil, nil, err
	}
	set, err := hotset.NewRedis(redis.NewClient(&redis.Options{Addr: addr}), hotset.Options{Namespace: ns})
	if err != nil {
		return nil, nil, err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Lease: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return s, store, err
}

// work consumes until it is killed. Each act is an unbuffered line: b(egin) before
// it, d(one) after it.
func work(spec string) error {
	part := strings.Split(spec, "|")
	log, err := os.OpenFile(part[3], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	s, _, err := open(part[0], part[1], part[2])
	if err != nil {
		return err
	}
	hold, err := time.ParseDuration(part[4])
	if err != nil {
		return err
	}
	pid := os.Getpid()
	return s.Handle(context.Background(), 64, func(ctx context.Context, d *triggerhook.Delivery) error {
		fmt.Fprintf(log, "b %s %d %d\n", d.ID, pid, time.Since(d.Due).Microseconds())
		if hold > 0 {
			pause(ctx, hold)
		}
		if err := d.Confirm(context.Background()); err != nil {
			return err
		}
		fmt.Fprintf(log, "d %s %d 0\n", d.ID, pid)
		return nil
	})
}

func (s scenario) run(ctx context.Context) (bool, error) {
	my, err := testserver.Start(ctx, testserver.MySQL)
	if err != nil {
		return false, err
	}
	defer my.Close()
	cache, err := testserver.Start(ctx, testserver.Redis)
	if err != nil {
		return false, err
	}
	defer cache.Close()
	dir, err := os.MkdirTemp("", "accept-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("mysql", my.DSN(""))
	if err != nil {
		return false, err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE accept"); err != nil {
		return false, err
	}
	spec := strings.Join([]string{my.DSN("accept") + "?interpolateParams=true", cache.Addr, "a" + strings.ToLower(rand.Text()[:8]), filepath.Join(dir, "log"), s.hold.String()}, "|")
	return s.onServers(ctx, spec)
}

func (s scenario) onServers(ctx context.Context, spec string) (bool, error) {
	part := strings.Split(spec, "|")
	sch, store, err := open(part[0], part[1], part[2])
	if err != nil {
		return false, err
	}
	if err := sch.Migrate(ctx); err != nil {
		return false, err
	}
	var workers []*exec.Cmd
	defer func() {
		for _, w := range workers {
			_ = w.Process.Kill()
			_ = w.Wait()
		}
	}()
	for range s.workers {
		w, err := start(spec)
		if err != nil {
			return false, err
		}
		workers = append(workers, w)
	}
	begin := time.Now()
	if err := s.create(ctx, sch, begin.Add(s.lead)); err != nil {
		return false, err
	}
	created := time.Since(begin)
	killed, err := s.kill(ctx, workers, spec, part[3], begin.Add(s.lead))
	if err != nil {
		return false, err
	}
	if err := empty(ctx, store, 5*time.Minute); err != nil {
		return false, err
	}
	return s.judge(part[3], killed, created)
}

func start(spec string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "--worker", spec)
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}

// create makes all tasks before the first is due, in calls of 1,000.
func (s scenario) create(ctx context.Context, sch *triggerhook.Scheduler, first time.Time) error {
	for i := 0; i < s.tasks; i += 1000 {
		var some []*triggerhook.Task
		for k := i; k < i+1000; k++ {
			due := first.Add(time.Duration(float64(s.spread) * float64(k) / float64(s.tasks)))
			some = append(some, &triggerhook.Task{ID: fmt.Sprintf("t%06d", k), Due: due, Payload: make([]byte, 100)})
		}
		if err := sch.Create(ctx, some...); err != nil {
			return err
		}
	}
	if late := time.Since(first); late > 0 {
		return fmt.Errorf("creating took %s longer than the lead", late)
	}
	return nil
}

// kill kills workers in turn, each only while it holds tasks, and starts others.
func (s scenario) kill(ctx context.Context, workers []*exec.Cmd, spec, log string, first time.Time) (map[int]bool, error) {
	killed := map[int]bool{}
	pause(ctx, time.Until(first))
	for k := 0; k < s.kills; {
		i := k % len(workers)
		pid := workers[i].Process.Pid
		pause(ctx, 2*time.Second)
		_ = workers[i].Process.Kill()
		_ = workers[i].Wait()
		killed[pid] = true
		h, err := read(log)
		if err != nil {
			return killed, err
		}
		if h.holds(pid) {
			k++
		}
		if workers[i], err = start(spec); err != nil {
			return killed, err
		}
		if time.Since(first) > s.spread {
			return killed, fmt.Errorf("only %d kills met tasks in hand", k)
		}
	}
	return killed, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func empty(ctx context.Context, store durable.Store, within time.Duration) error {
	for end := time.Now().Add(within); time.Now().Before(end); pause(ctx, 200*time.Millisecond) {
		n, _, err := store.Count(ctx, 10)
		if err == nil && n == 0 {
			return nil
		}
	}
	return errors.New("tasks are left after " + within.String())
}

// history is what the log says.
type history struct {
	begun map[string][]int
	open  map[string]int // begun and not done: by whom
	late  []int64        // us, of first deliveries
}

func (h history) holds(pid int) bool {
	for _, p := range h.open {
		if p == pid {
			return true
		}
	}
	return false
}

func read(path string) (history, error) {
	h := history{begun: map[string][]int{}, open: map[string]int{}}
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		w := strings.Fields(sc.Text())
		if len(w) != 4 {
			return h, fmt.Errorf("strange line %q", sc.Text())
		}
		pid, err1 := strconv.Atoi(w[2])
		late, err2 := strconv.ParseInt(w[3], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return h, err
		}
		if w[0] == "d" {
			delete(h.open, w[1])
			continue
		}
		if len(h.begun[w[1]]) == 0 {
			h.late = append(h.late, late)
		}
		h.begun[w[1]] = append(h.begun[w[1]], pid)
		h.open[w[1]] = pid
	}
	return h, sc.Err()
}

// judge prints the figures and reports whether the promises were kept.
func (s scenario) judge(log string, killed map[int]bool, created time.Duration) (bool, error) {
	h, err := read(log)
	if err != nil {
		return false, err
	}
	slices.Sort(h.late)
	duplicates, unexplained, early := 0, 0, 0
	for _, pids := range h.begun {
		for _, pid := range pids[:len(pids)-1] {
			duplicates++
			if !killed[pid] {
				unexplained++
			}
		}
	}
	for _, l := range h.late {
		if l < 0 {
			early++
		}
	}
	lost := s.tasks - len(h.begun)
	at := func(q float64) time.Duration {
		if len(h.late) == 0 {
			return 0
		}
		return time.Duration(h.late[int(q*float64(len(h.late)-1))]) * time.Microsecond
	}
	fmt.Printf("%s: %d tasks created in %s, %d lost, %d early, %d kills, %d duplicates, %d unexplained; late p50 %s p99 %s max %s\n",
		s.name, s.tasks, created.Round(time.Millisecond), lost, early, s.kills, duplicates, unexplained, at(0.5), at(0.99), at(1))
	return lost == 0 && early == 0 && unexplained == 0, nil
}
