package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// patience is how long the test waits for what must come: far longer than it takes.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines))
}

// nextMigration is what the next version of the library does to the schema.
const nextMigration = `	m, err := parseMigration("next.sql", "-- Compatible: 1\nALTER TABLE {ns}_task ADD COLUMN later BIGINT NOT NULL DEFAULT 0", ns)
	return append(all, m), err
}

// parseMigration reads one file`

// build builds the process. next: from the source of the next version, which is this one with a migration more.
func build(t *testing.T, name string, next bool) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"build", "-o", filepath.Join(dir, name)}
	if next {
		const schema = "../../durable/schema.go"
		text, err := os.ReadFile(schema)
		if err != nil {
			t.Fatal(err)
		}
		const end = "	return all, nil\n}\n\n// parseMigration reads one file"
		if n := strings.Count(string(text), end); n != 1 {
			t.Fatalf("%q stands %d times in %s, want once", end, n, schema)
		}
		path, err := filepath.Abs(schema)
		if err != nil {
			t.Fatal(err)
		}
		instead := filepath.Join(dir, "schema.go")
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: instead}})
		if err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{instead: []byte(strings.Replace(string(text), end, nextMigration, 1)), filepath.Join(dir, "overlay"): overlay} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args = append(args, "-overlay", filepath.Join(dir, "overlay"))
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, out)
	}
	return filepath.Join(dir, name)
}

// said is all that the processes of a test have said, line by line.
type said struct {
	mu    sync.Mutex
	lines map[string]int
}

func (s *said) read(from io.Reader, done chan<- struct{}) {
	defer close(done)
	for lines := bufio.NewScanner(from); lines.Scan(); {
		s.mu.Lock()
		s.lines[lines.Text()]++
		s.mu.Unlock()
	}
}

// await waits until n tasks of a prefix were delivered, and one to the process that has that prefix.
func (s *said) await(t *testing.T, prefix string, n int) {
	t.Helper()
	end := time.After(patience)
	for {
		s.mu.Lock()
		got := 0
		for i := range n {
			if s.lines[fmt.Sprint(prefix, i)] > 0 {
				got++
			}
		}
		worked := s.lines[prefix+works] > 0
		s.mu.Unlock()
		if got == n && worked {
			return
		}
		select {
		case <-end:
			t.Fatalf("%d of %d tasks of %s were delivered; one to its own process: %v", got, n, prefix, worked)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// process is one that runs.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	err  bytes.Buffer
	read chan struct{}
}

func start(t *testing.T, program string, o order, to *said) *process {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(program), read: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), orderEnv+"="+string(text))
	p.cmd.Stderr = &p.err
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go to.read(out, p.read)
	return p
}

// stop has p drain and end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	<-p.read
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%s: %v: %s", p.cmd.Path, err, p.err.String())
	}
}

// kill ends p as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.read
	_ = p.cmd.Wait() // it was killed
}

// A process of this version and one of the next work side by side on the schema of the next: this version goes on while the
// other migrates, comes back after a crash, and works alone after a rollback. No task is lost.
func TestTwoVersionsWorkSideBySide(t *testing.T) {
	my, cache := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
	name := my.Database(t)
	old, next := build(t, "old", false), build(t, "next", true)
	all := &said{lines: map[string]int{}}
	order := func(prefix string) order {
		return order{DSN: my.DSN(name), Redis: cache.Addr, Namespace: name, Prefix: prefix, Tasks: 30}
	}
	first := start(t, old, order("first-"), all)
	all.await(t, "first-", 30)
	newer := start(t, next, order("newer-"), all)
	all.await(t, "newer-", 30)
	first.kill(t)
	again := start(t, old, order("again-"), all)
	all.await(t, "again-", 30)
	newer.stop(t)
	alone := start(t, old, order("alone-"), all)
	all.await(t, "alone-", 30)
	again.stop(t)
	alone.stop(t)
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.lines[migrated] != 4 {
		t.Errorf("Migrate has returned nil %d times, want 4", all.lines[migrated])
	}
	db, err := sql.Open("mysql", my.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	own, err := filepath.Glob("../../durable/migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var versions int
	if err := db.QueryRow("SELECT COUNT(*) FROM " + name + "_migration").Scan(&versions); err != nil || versions != len(own)+1 {
		t.Errorf("%d migrations are recorded, %v; want %d: the next version was none", versions, err, len(own)+1)
	}
}
