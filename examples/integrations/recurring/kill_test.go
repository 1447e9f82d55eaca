package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// TestMain is also the worker process of the tests, which ends itself at a step.
func TestMain(m *testing.M) {
	if os.Getenv("RECURRING_MYSQL") != "" {
		worker()
		return
	}
	os.Exit(testserver.Closing(m).Run())
}

func worker() {
	passes := 0
	step = func(at string) {
		if at == os.Getenv("RECURRING_KILL") {
			if passes++; passes == 2 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	err := work(context.Background(), os.Getenv("RECURRING_MYSQL"), os.Getenv("RECURRING_REDIS"), "tick", in(time.UTC, Every(time.Second)),
		triggerhook.Options{Lease: time.Second})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Worker processes are killed at each step, one after another. Each second has its occurrence, once, also those in which
// no worker ran. What is left in the end is the task of the next occurrence.
func TestNoOccurrenceIsLostWhenWorkersAreKilled(t *testing.T) {
	t.Parallel()
	mysql, redis := testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis)
	name := mysql.Database(t)
	start := func(kill string) (*exec.Cmd, *strings.Builder) {
		cmd, out := exec.Command(os.Args[0]), &strings.Builder{}
		cmd.Env = append(os.Environ(), "RECURRING_MYSQL="+mysql.DSN(name), "RECURRING_REDIS="+redis.Addr, "RECURRING_KILL="+kill)
		cmd.Stderr = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	for _, at := range []string{"begin", "commit", "confirm"} {
		cmd, out := start(at)
		if _ = cmd.Wait(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the worker that is to die at %q ended by itself: %s", at, out)
		}
	}
	killed := time.Now()
	cmd, _ := start("")
	db, err := sql.Open("mysql", mysql.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var first, last, n, again sql.NullInt64
	var tasks int // more than one while the confirms of what ran just now are on their way
	for last.Int64 < killed.Unix() || tasks != 1 {
		if time.Since(killed) > time.Minute {
			t.Fatalf("a minute after the last kill the last run is of %d, the kill was at %d; %d tasks are left, want the next occurrence", last.Int64, killed.Unix(), tasks)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
		}
		if err := db.QueryRow("SELECT COUNT(*) FROM triggerhook_task").Scan(&tasks); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow("SELECT MIN(at_s), MAX(at_s), COUNT(*), SUM(tries) - COUNT(*) FROM runs WHERE at_s > 0").Scan(&first, &last, &n, &again); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if n.Int64 != last.Int64-first.Int64+1 {
		t.Errorf("%d occurrences from %d to %d ran, want %d", n.Int64, first.Int64, last.Int64, last.Int64-first.Int64+1)
	}
	if again.Int64 < 1 { // the one whose worker was killed after the commit
		t.Errorf("%d runs were tried again, want at least 1", again.Int64)
	}
	t.Logf("%d occurrences, %d tried again", n.Int64, again.Int64)
}
