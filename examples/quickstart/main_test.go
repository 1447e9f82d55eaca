package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// program is the quick start, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "quickstart-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "quickstart")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build: %v: %s", err, out))
	}
	code := testserver.Closing(m).Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// process is a quick start that runs.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	mu     sync.Mutex
	stderr bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) { // its standard error
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// wait returns the exit status and the table, if there is one.
func (p *process) wait(t *testing.T) (int, sums) {
	t.Helper()
	late := time.AfterFunc(2*time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var s sums
	if text := p.stdout.Bytes(); len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	return p.cmd.ProcessState.ExitCode(), s
}

// until waits until ok, or fails.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// pairs runs a test on each combination of stores; the arguments name them.
func pairs(t *testing.T, test func(t *testing.T, args []string)) {
	ns := func() string { return "q" + strings.ToLower(rand.Text()[:10]) }
	mysql := func(t *testing.T) []string {
		server := testserver.Shared(t, testserver.MySQL)
		return []string{"--mysql", server.DSN(server.Database(t))}
	}
	redis := func(t *testing.T) []string {
		return []string{"--redis", testserver.Shared(t, testserver.Redis).Addr, "--namespace", ns()}
	}
	bolt := func(t *testing.T) []string { return []string{"--data", t.TempDir()} }
	t.Run("bolt+local", func(t *testing.T) { test(t, bolt(t)) })
	t.Run("bolt+redis7", func(t *testing.T) { test(t, append(bolt(t), redis(t)...)) })
	t.Run("mysql97+local", func(t *testing.T) { test(t, mysql(t)) })
	t.Run("mysql97+redis7", func(t *testing.T) { test(t, append(mysql(t), redis(t)...)) })
}

func TestItRunsTheMainJob(t *testing.T) {
	pairs(t, func(t *testing.T, args []string) {
		p := start(t, append(args, "--tasks", "300", "--spread", "1s", "--workers", "4", "--payload", "2000", "--json")...)
		code, s := p.wait(t)
		if code != 0 || s.Created != 300 || s.Deleted == 0 || s.Deleted > 30 || s.Confirmed < 270 || s.Confirmed > 300-s.Deleted ||
			s.Delivered != s.Confirmed+s.RolledBack || s.Early+s.Lost+s.Duplicates != 0 || s.P50 <= 0 || s.P99 > s.Max {
			t.Errorf("status %d, %+v: %s", code, s, p.said())
		}
		if !strings.Contains(p.said(), "\rcreated ") {
			t.Errorf("no progress was shown: %q", p.said())
		}
	})
}

func TestTheTableHasTheseKeys(t *testing.T) {
	p := start(t, "--data", t.TempDir(), "--tasks", "20", "--spread", "100ms", "--json")
	if code, _ := p.wait(t); code != 0 {
		t.Fatalf("status %d: %s", code, p.said())
	}
	var table map[string]float64
	if err := json.Unmarshal(p.stdout.Bytes(), &table); err != nil {
		t.Fatal(err)
	}
	want := []string{"created", "deleted", "delivered", "confirmed", "rolled_back", "early", "lost", "duplicates", "late_ms_p50", "late_ms_p99", "late_ms_max"}
	for _, key := range want {
		if _, ok := table[key]; !ok {
			t.Errorf("%s is not in the table", key)
		}
	}
	if len(table) != len(want) {
		t.Errorf("the table has %d keys, want %d: %v", len(table), len(want), table)
	}
	text := start(t, "--data", t.TempDir(), "--tasks", "20", "--spread", "100ms")
	if code, _ := text.wait(t); code != 0 || !strings.Contains(text.stdout.String(), "late p99 (ms)") {
		t.Errorf("status %d, table %q", code, text.stdout.String())
	}
}

// Killed in mid-run and started again it goes on with what was left, and says so.
func TestKilledAndStartedAgainItGoesOn(t *testing.T) {
	pairs(t, func(t *testing.T, args []string) {
		p := start(t, append(args, "--tasks", "400", "--spread", "3s")...)
		until(t, "it confirms", func() bool { return strings.Count(p.said(), "\r") > 6 })
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = p.wait(t)
		again := start(t, append(args, "--tasks", "50", "--spread", "1s", "--json")...)
		code, s := again.wait(t)
		_, rest, _ := strings.Cut(again.said(), "an earlier run left ")
		var left int
		if _, err := fmt.Sscanf(rest, "%d tasks", &left); err != nil || left == 0 || left >= 400 {
			t.Fatalf("it says %q of the earlier run", again.said())
		}
		if code != 0 || s.Created != 50 || s.Lost+s.Early != 0 || s.Confirmed < left+40 {
			t.Errorf("status %d, %d left, %+v: %s", code, left, s, again.said())
		}
	})
}

// An interrupt drains: it ends soon, and what is left is for the next run.
func TestAnInterruptDrains(t *testing.T) {
	pairs(t, func(t *testing.T, args []string) {
		p := start(t, append(args, "--tasks", "300", "--spread", "1m", "--json")...)
		until(t, "it confirms", func() bool { return strings.Count(p.said(), "\r") > 6 })
		if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		code, s := p.wait(t)
		if code != 0 || s.Lost != 0 || s.Created != 300 || s.Confirmed >= 200 {
			t.Errorf("status %d, %+v: %s", code, s, p.said())
		}
	})
}

// Rows that vanish behind its back are lost, and the exit status says so.
func TestLostTasksAreToldByTheStatus(t *testing.T) {
	t.Run("mysql97+redis7", func(t *testing.T) {
		server := testserver.Shared(t, testserver.MySQL)
		name := server.Database(t)
		db, err := sql.Open("mysql", server.DSN(name))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		p := start(t, "--mysql", server.DSN(name), "--redis", testserver.Shared(t, testserver.Redis).Addr,
			"--namespace", "lossy", "--tasks", "200", "--spread", "4s", "--json")
		until(t, "it confirms", func() bool { return strings.Count(p.said(), "\r") > 6 })
		res, err := db.Exec("DELETE FROM lossy_task ORDER BY next_ms DESC LIMIT 7")
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := res.RowsAffected(); n != 7 {
			t.Fatalf("%d rows were there to be lost", n)
		}
		if code, s := p.wait(t); code != 1 || s.Lost != 7 {
			t.Errorf("status %d, %+v: %s", code, s, p.said())
		}
	})
}

func TestBadFlagsAreErrors(t *testing.T) {
	taken := t.TempDir()
	owner := start(t, "--data", taken, "--tasks", "10", "--spread", "1m")
	until(t, "it runs", func() bool { return strings.Contains(owner.said(), "\r") })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--tasks", "-1"}, "at least 0"},
		{[]string{"--workers", "0"}, "at least 1"},
		{[]string{"--namespace", "Bad"}, `"Bad"`},
		{[]string{"--payload", "70000"}, "70000"},
		{[]string{"--mysql", "no dsn"}, "no DSN"},
		{[]string{"--data", taken}, "another process has it open"},
		{[]string{"--data", file}, "data folder"},
		{[]string{"--listen", "127.0.0.1:99999"}, "--listen"},
		{[]string{"--frequency", "9"}, "-frequency"},
		{[]string{"stray"}, "stray"},
	} {
		p := start(t, append([]string{"--data", t.TempDir()}, c.args...)...)
		if code, _ := p.wait(t); code != 2 || !strings.Contains(p.said(), c.says) || strings.Contains(p.said(), "panic") {
			t.Errorf("%q: status %d, it says %q, want 2 and %q", c.args, code, p.said(), c.says)
		}
	}
}

func TestItServesMetrics(t *testing.T) {
	p := start(t, "--data", t.TempDir(), "--tasks", "50", "--spread", "1m", "--listen", "127.0.0.1:0")
	var url string
	until(t, "it says where", func() bool {
		for sc := bufio.NewScanner(strings.NewReader(p.said())); sc.Scan(); {
			if _, at, ok := strings.Cut(sc.Text(), "metrics at "); ok {
				url = strings.TrimSpace(at)
			}
		}
		return url != ""
	})
	until(t, "the tasks are counted", func() bool {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		return slices.Contains(lines, `triggerhook_created_total{namespace="quickstart",scheduler="1"} 50`)
	})
}

// With nothing to do it stops at once, perhaps before it has looked at its stores: that is no
// failure.
func TestWithNothingToDoItSucceeds(t *testing.T) {
	pairs(t, func(t *testing.T, args []string) {
		p := start(t, append(args, "--tasks", "0", "--json")...)
		if code, s := p.wait(t); code != 0 || s.Created+s.Lost != 0 {
			t.Errorf("status %d, %+v: %s", code, s, p.said())
		}
	})
}

// A DSN that names no database, as TRIGGERHOOK_TEST_MYSQL, gets one.
func TestADSNWithoutADatabaseGetsOne(t *testing.T) {
	server := testserver.Shared(t, testserver.MySQL)
	for dsn, want := range map[string]string{server.DSN(""): ownDatabase, server.DSN("information_schema"): "information_schema"} {
		db, err := openMySQL(dsn)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := errors.Join(db.QueryRow("SELECT DATABASE()").Scan(&got), db.Close()); err != nil || got != want {
			t.Errorf("%s works with the database %q, %v, want %q", dsn, got, err, want)
		}
	}
}
