package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// patience is how long a test waits for what must come: far longer than it takes.
const patience = 30 * time.Second

// never is a grace within which no audit finds anything: what is delivered then
// was fed, added or given back.
const never = time.Hour

func TestMain(m *testing.M) {
	flag.Parse()
	parallel := false
	flag.Visit(func(f *flag.Flag) { parallel = parallel || f.Name == "test.parallel" })
	if !parallel {
		_ = flag.Set("test.parallel", "16") // they wait most of the time, for leases and terms to end
	}
	goleak.VerifyTestMain(testserver.Closing(building{m}), goleak.IgnoreAnyFunction(testserver.Goroutines))
}

// building removes what program built when the tests are over.
type building struct{ *testing.M }

func (b building) Run() int {
	defer func() { _ = os.RemoveAll(folder()) }()
	return b.M.Run()
}

var folder = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "crash-")
	if err != nil {
		panic(err)
	}
	return dir
})

// program builds the process that is to be killed, once for all tests.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder(), "crash")
	if out, err := exec.Command("go", "build", "-tags", "failpoint", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with failpoints: %w: %s", err, out)
	}
	return path, nil
})

// cell is one cell of the table: two stores, a process that dies, and the next.
type cell struct {
	*testing.T
	place
	*member // the test's own, in a production build: it looks at the stores, and creates
	point   string
}

// killedAt runs a test of one cell, in a namespace of its own. The point may name
// a visit: "feed/add:2".
func killedAt(t *testing.T, point string, partitions int, test func(c *cell)) {
	t.Parallel()
	t.Run("mysql97+redis7/"+point, func(t *testing.T) {
		mysql, redis := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
		c := &cell{T: t, point: point, place: place{DSN: mysql.DSN(mysql.Database(t)), Redis: redis.Addr, Partitions: partitions,
			Namespace: "c" + strings.ToLower(rand.Text()[:10]), Lease: time.Second, AuditGrace: never, Drain: 200 * time.Millisecond}}
		c.member = c.join(c.place)
		if err := c.sch.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(c)
	})
}

// join opens a member that ends with the test, and shows its log if that failed.
func (c *cell) join(p place) *member {
	c.Helper()
	var log bytes.Buffer // written under the handler's lock, read at the end
	m, err := p.open(&log)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if err := m.Close(); err != nil {
			c.Error(err)
		}
		if c.Failed() {
			c.Logf("%s", &log)
		}
	})
	return m
}

// warm has a worker fill the hot set up to its horizon, and end. After it no role
// is held, and the feeder does not look at what is due within the window.
func (c *cell) warm() {
	c.Helper()
	w := c.next(c.AuditGrace)
	c.until("the hot set is full up to its horizon", func() bool {
		for p := range c.Partitions {
			st := c.state(p)
			if st.AsOf.Generation == 0 || st.Loaded.DueMS < st.HorizonMS {
				return false
			}
		}
		return true
	})
	w.stop()
}

// create creates tasks from the test's own process, which is production's build.
func (c *cell) create(due time.Time, ids ...string) {
	c.Helper()
	for _, id := range ids {
		if err := c.sch.Create(c.Context(), taskOf(id, due)); err != nil {
			c.Fatal(err)
		}
	}
}

// taskOf is a task of that name; one that is called large has a payload that the
// hot set does not hold.
func taskOf(id string, due time.Time) *triggerhook.Task {
	payload := []byte(id)
	if strings.HasPrefix(id, "large") {
		payload = bytes.Repeat(payload, 1000)
	}
	return &triggerhook.Task{ID: id, Due: due, Payload: payload}
}

// victim is a process that is to die at its cell's point.
type victim struct {
	c       *cell
	process *testserver.Process
	out     string // file of what it was delivered
	log     string
}

// start starts the process.
func (c *cell) start(o order) *victim {
	c.Helper()
	path, err := program()
	if err != nil {
		c.Fatal(err)
	}
	o.place = c.place
	text, err := json.Marshal(o)
	if err != nil {
		c.Fatal(err)
	}
	dir := c.TempDir()
	v := &victim{c: c, out: filepath.Join(dir, "out"), log: filepath.Join(dir, "log")}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), orderEnv+"="+string(text), failpoint.Env+"="+c.point)
	for _, f := range []struct {
		name string
		to   func(*os.File)
	}{{v.out, func(f *os.File) { cmd.Stdout = f }}, {v.log, func(f *os.File) { cmd.Stderr = f }}} {
		file, err := os.Create(f.name)
		if err != nil {
			c.Fatal(err)
		}
		defer file.Close()
		f.to(file)
	}
	if v.process, err = testserver.Spawn(cmd); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		v.process.Signal(os.Kill)
		<-v.process.Ended()
	})
	return v
}

// delivered is what it was delivered so far, as "id attempt".
func (v *victim) delivered() []string {
	v.c.Helper()
	text, err := os.ReadFile(v.out)
	if err != nil {
		v.c.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// died waits for its death, which must have come by the kernel's kill.
func (v *victim) died() {
	v.c.Helper()
	select {
	case <-v.process.Ended():
	case <-time.After(patience):
		v.c.Fatalf("the process did not get to %s", v.c.point)
	}
	status, _ := v.process.State().Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		log, _ := os.ReadFile(v.log)
		v.c.Fatalf("the process was not killed at %s: %s\n%s", v.c.point, v.process.State(), log)
	}
}

// kill has a process do that, and die at the cell's point.
func (c *cell) kill(o order) *victim {
	c.Helper()
	v := c.start(o)
	v.died()
	return v
}

// holds checks what the stores hold when the process is dead.
func (c *cell) holds(rows, waiting, claimed int) {
	c.Helper()
	n, _, err := c.store.Count(c.Context(), 10_000)
	if err != nil {
		c.Fatal(err)
	}
	var w, k int64
	for p := range c.Partitions {
		st := c.state(p)
		w, k = w+st.Waiting, k+st.Claimed
	}
	if n != int64(rows) || w != int64(waiting) || k != int64(claimed) {
		c.Fatalf("killed at %s there are %d rows, %d members that wait, and %d claimed; want %d, %d, %d", c.point, n, w, k, rows, waiting, claimed)
	}
}

// row is a task's row.
func (c *cell) row(id string) task.Row {
	c.Helper()
	rows, err := c.store.Get(c.Context(), []string{id})
	if err != nil || len(rows) != 1 {
		c.Fatalf("%d rows of %q, %v", len(rows), id, err)
	}
	return rows[0]
}

// deleteRow is the half of a Delete that the stage needs.
func (c *cell) deleteRow(id string) {
	c.Helper()
	if deleted, err := c.store.Delete(c.Context(), []task.Ref{c.row(id).Ref}); err != nil || !deleted[0] {
		c.Fatalf("delete the row of %q: %t, %v", id, deleted, err)
	}
}

func (c *cell) state(p int) task.State {
	c.Helper()
	st, err := c.set.State(c.Context(), p)
	if err != nil {
		c.Fatal(err)
	}
	return st
}

func (c *cell) until(what string, ok func() bool) {
	c.Helper()
	end := time.After(patience)
	for !ok() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-end:
			c.Fatalf("killed at %s: waited in vain until %s", c.point, what)
		}
	}
}

// worker is the next worker: a scheduler in the test's own process.
type worker struct {
	c    *cell
	sch  *triggerhook.Scheduler
	hold func(d *triggerhook.Delivery) // before it confirms
	stop func()

	mu    sync.Mutex
	tasks []delivery
}

// delivery is one that the next worker was handed, and confirmed.
type delivery struct {
	*triggerhook.Delivery
	at  time.Time
	err error // of its Confirm
}

// String tells a delivery: its task, its attempt, and "gone" if its row was.
func (d delivery) String() string {
	switch {
	case errors.Is(d.err, triggerhook.ErrGone):
		return fmt.Sprintf("%s %d gone", d.ID, d.Attempt)
	case d.err != nil:
		return fmt.Sprintf("%s %d %v", d.ID, d.Attempt, d.err)
	}
	return fmt.Sprintf("%s %d", d.ID, d.Attempt)
}

// next starts the next worker, with that AuditGrace.
func (c *cell) next(grace time.Duration, change ...func(w *worker, p *place)) *worker {
	c.Helper()
	p := c.place
	p.AuditGrace, p.Drain = grace, patience
	w := &worker{c: c, hold: func(*triggerhook.Delivery) {}}
	for _, f := range change {
		f(w, &p)
	}
	w.sch = c.join(p).sch
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.sch.Handle(ctx, 8, w.handle) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.Errorf("Handle: %v", err)
		}
	})
	c.Cleanup(w.stop)
	return w
}

func (w *worker) handle(_ context.Context, d *triggerhook.Delivery) error {
	got := delivery{Delivery: d, at: time.Now()}
	w.hold(d)
	got.err = d.Confirm(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, got)
	return nil
}

// ends waits until nothing is left in either store, stops the worker, and returns
// what it was delivered, in the order of its confirms. None of it was early, and
// each had its payload.
func (w *worker) ends() []delivery {
	w.c.Helper()
	w.c.until("nothing is left in either store", func() bool {
		n, _, err := w.c.store.Count(w.c.Context(), 10_000)
		if err != nil {
			w.c.Fatal(err)
		}
		for p := range w.c.Partitions {
			st := w.c.state(p)
			n += st.Waiting + st.Claimed
		}
		return n == 0
	})
	w.stop()
	for _, d := range w.tasks {
		if d.at.Before(d.Due) {
			w.c.Errorf("%s was delivered %s before its time", d, d.Due.Sub(d.at))
		}
		if want := taskOf(d.ID, d.Due).Payload; !bytes.Equal(d.Payload, want) {
			w.c.Errorf("%s was delivered with %d bytes of payload, want %d", d, len(d.Payload), len(want))
		}
	}
	return w.tasks
}

// delivers waits for the end and compares what was delivered, sorted.
func (w *worker) delivers(want ...string) []delivery {
	w.c.Helper()
	all := w.ends()
	got := make([]string, len(all))
	for i, d := range all {
		got[i] = d.String()
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.c.Errorf("killed at %s, and the next worker was delivered %q, want %q", w.c.point, got, want)
	}
	return all
}

// finds checks how many tasks its auditor found missing.
func (w *worker) finds(want uint64) {
	w.c.Helper()
	if st, _ := w.sch.Stats(w.c.Context()); st.Process.AuditFinds != want {
		w.c.Errorf("killed at %s, and the next auditor found %d tasks, want %d", w.c.point, st.Process.AuditFinds, want)
	}
}
