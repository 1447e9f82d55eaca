package triggerhook_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// workerEnv makes this test binary a worker process.
const workerEnv = "TRIGGERHOOK_TEST_WORKER"

func TestMain(m *testing.M) {
	if spec := os.Getenv(workerEnv); spec != "" {
		if err := worker(spec); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// worker consumes until it is killed. Each act is one unbuffered line of its log,
// written before the act (begin) and after it (done), so a killed one's count.
func worker(spec string) error {
	part := strings.Split(spec, "|") // dsn, redis, namespace, partitions, log
	n, err := strconv.Atoi(part[3])
	if err != nil {
		return err
	}
	log, err := os.OpenFile(part[4], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", part[0])
	if err != nil {
		return err
	}
	store, err := durable.NewMySQL(db, durable.Options{Namespace: part[2]})
	if err != nil {
		return err
	}
	set, err := hotset.NewRedis(redis.NewClient(&redis.Options{Addr: part[1]}), hotset.Options{Namespace: part[2], Partitions: n})
	if err != nil {
		return err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Lease: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	return s.Handle(context.Background(), 16, func(ctx context.Context, d *triggerhook.Delivery) error {
		fmt.Fprintf(log, "begin %s %d %t\n", d.ID, os.Getpid(), time.Now().Before(d.Due))
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		if err := d.Confirm(context.Background()); err != nil {
			fmt.Fprintf(log, "error %s %d %v\n", d.ID, os.Getpid(), err)
			return err
		}
		fmt.Fprintf(log, "done %s %d\n", d.ID, os.Getpid())
		return nil
	})
}

func startWorker(t *testing.T, spec string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerEnv+"="+spec)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// history is what the workers' log says.
type history struct {
	begun     map[string][]int // pids, in order
	done      map[string]int
	inHand    map[int]map[string]bool // begun and not done, by pid
	early     []string
	anomalies []string
}

func readHistory(t *testing.T, path string) history {
	t.Helper()
	h := history{begun: map[string][]int{}, done: map[string]int{}, inHand: map[int]map[string]bool{}}
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return h
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		pid, _ := strconv.Atoi(w[2])
		switch w[0] {
		case "begin":
			h.begun[w[1]] = append(h.begun[w[1]], pid)
			if h.inHand[pid] == nil {
				h.inHand[pid] = map[string]bool{}
			}
			h.inHand[pid][w[1]] = true
			if w[3] == "true" {
				h.early = append(h.early, w[1])
			}
		case "done":
			h.done[w[1]]++
			delete(h.inHand[pid], w[1])
		default:
			h.anomalies = append(h.anomalies, sc.Text())
		}
	}
	return h
}

// Workers are killed with tasks in their hands: nothing is lost, and only what a
// killed one held is delivered twice.
func TestKilledWorkersLoseNothing(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", partitions), func(t *testing.T) {
			const n, kills = 5000, 3
			my, cache := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
			s := servers(t, my, cache, partitions)
			sch := s.scheduler(t, triggerhook.Options{})
			var db string
			rows, err := s.db.Query("SELECT DATABASE()")
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				if err := rows.Scan(&db); err != nil {
					t.Fatal(err)
				}
			}
			log := filepath.Join(t.TempDir(), "log")
			spec := strings.Join([]string{my.DSN(db), cache.Addr, s.store.Namespace(), strconv.Itoa(partitions), log}, "|")
			workers := []*exec.Cmd{startWorker(t, spec), startWorker(t, spec), startWorker(t, spec)}
			start := time.Now().Add(500 * time.Millisecond)
			all := tasks(n, func(i int) time.Time { return start.Add(time.Duration(i) * 6 * time.Second / n) })
			for i := 0; i < n; i += 500 {
				if err := sch.Create(t.Context(), all[i:i+500]...); err != nil {
					t.Fatal(err)
				}
			}
			killed := map[int]bool{}
			for k := range kills {
				victim := workers[k%len(workers)]
				pid := victim.Process.Pid
				until(t, "the victim holds tasks", 20*time.Second, func() bool { return len(readHistory(t, log).inHand[pid]) > 0 })
				_ = victim.Process.Kill()
				_ = victim.Wait()
				killed[pid] = len(readHistory(t, log).inHand[pid]) > 0
				workers[k%len(workers)] = startWorker(t, spec)
			}
			until(t, "the store is empty", 60*time.Second, func() bool {
				left, _, err := s.store.Count(t.Context(), n)
				return err == nil && left == 0
			})
			h := readHistory(t, log)
			if len(h.begun) != n || len(h.early) > 0 {
				t.Errorf("%d of %d tasks were delivered, early: %v", len(h.begun), n, h.early)
			}
			duplicates := 0
			for id, pids := range h.begun {
				for _, pid := range pids[:len(pids)-1] {
					duplicates++
					if _, was := killed[pid]; !was {
						t.Errorf("%s was delivered again though its worker lived: %v", id, pids)
					}
				}
			}
			t.Logf("%d kills, %d duplicates; anomalies: %v", kills, duplicates, h.anomalies)
		})
	}
}

// Redis is away and comes back empty, then MySQL is away: no task is lost, none is
// delivered twice, and Create needs no Redis.
func TestOutagesLoseNothing(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", partitions), func(t *testing.T) {
			my, cache := testserver.Own(t, testserver.MySQL), testserver.Own(t, testserver.Redis)
			s := servers(t, my, cache, partitions)
			sch := s.scheduler(t, triggerhook.Options{})
			run(t, sch)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var l ledger
			l.consume(ctx, t, sch, 8)
			made := 0
			create := func(n int, spread time.Duration) {
				t.Helper()
				start := time.Now()
				for i := range n {
					at := time.Now()
					err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint("t", made), Due: start.Add(spread * time.Duration(i) / time.Duration(n))})
					if err != nil {
						t.Fatalf("Create: %v", err)
					}
					if d := time.Since(at); d > 5*time.Second {
						t.Errorf("Create took %s", d)
					}
					made++
				}
			}
			create(200, 6*time.Second)
			cache.Kill()
			create(100, 3*time.Second)
			if err := cache.Boot(t.Context()); err != nil {
				t.Fatal(err)
			}
			create(100, time.Second)
			my.Kill()
			sleep(t, 2*time.Second)
			if err := my.Boot(t.Context()); err != nil {
				t.Fatal(err)
			}
			create(50, time.Second)
			until(t, "all have fired", 60*time.Second, func() bool { return l.len() == made })
			l.mu.Lock()
			defer l.mu.Unlock()
			for id, times := range l.times {
				if times != 1 {
					t.Errorf("%s was delivered %d times", id, times)
				}
			}
			t.Logf("%d tasks, worst lateness %s", made, l.worst)
		})
	}
}

func sleep(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
