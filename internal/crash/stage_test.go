package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
const patience = time.Minute

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
	t.Helper()
	staged(t, point, partitions, test)
}

// staged is killedAt for a test that kills its processes itself.
func staged(t *testing.T, point string, partitions int, test func(c *cell)) {
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

// window is what is recorded.
func (c *cell) window() (w task.Window, err error) {
	all, err := c.store.Records(c.Context())
	if err == nil {
		w, err = all.Window()
	}
	return w, err
}

// begun stages a namespace that some feeder has worked in, so that a new generation
// waits for workers that may hold something, and that uses the cell's Window.
func (c *cell) begun() {
	c.Helper()
	is, err := c.window()
	if err != nil {
		c.Fatal(err)
	}
	was, err := is.MarshalText()
	if err != nil {
		c.Fatal(err)
	}
	length := max(is.AnnouncedMS, c.Window.Milliseconds())
	to, err := task.Window{EffectiveMS: length, AnnouncedMS: length}.MarshalText()
	if err != nil {
		c.Fatal(err)
	}
	if _, err := c.store.SwapRecord(c.Context(), task.RecordWindow, string(was), string(to)); err != nil {
		c.Fatal(err)
	}
}

// warm has a worker fill the hot set up to its horizon, and end. After it no role
// is held, and the feeder does not look at what is due within the window.
func (c *cell) warm() {
	c.Helper()
	c.begun()
	w := c.next(c.AuditGrace)
	c.until("the hot set is full up to its horizon", func() bool {
		for p := range c.Partitions {
			st := c.state(p)
			if st.AsOf.Generation == 0 || st.Loaded.NextMS < st.HorizonMS {
				return false
			}
		}
		return true
	})
	w.stop()
}

// rows stores rows, of which the hot set learns nothing.
func (c *cell) rows(due time.Time, ids ...string) []task.Row {
	c.Helper()
	all := make([]task.Row, len(ids))
	for i, id := range ids {
		payload := taskOf(id, due).Payload
		ms := due.UnixMilli() + 1
		all[i] = task.Row{Ref: task.Ref{ID: id, Ver: int64(i + 1)}, NextMS: ms, DueMS: ms, Payload: payload, Size: len(payload)}
	}
	if err := c.store.Create(c.Context(), all); err != nil {
		c.Fatal(err)
	}
	return all
}

// create does what Create does with a hot set that answers, however slowly.
func (c *cell) create(due time.Time, ids ...string) {
	c.Helper()
	byPart := map[int][]task.Entry{}
	for _, r := range c.rows(due, ids...) {
		e := task.Entry{Ref: r.Ref, NextMS: r.NextMS, DueMS: r.DueMS, Payload: r.Payload}
		if len(r.Payload) > inline {
			e.Payload, e.External = nil, true
		}
		p := task.Partition(r.ID, c.Partitions)
		byPart[p] = append(byPart[p], e)
	}
	for p, entries := range byPart {
		asOf, err := c.set.Clock(c.Context(), p)
		if err == nil {
			_, err = c.set.Add(c.Context(), p, task.AddRequest{AsOf: asOf, Entries: entries})
		}
		if err != nil {
			c.Fatal(err)
		}
	}
}

// inline is the longest payload that the hot set holds.
const inline = 1 << 10

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

// start starts the process, and has it begin when all of last is done.
func (c *cell) start(o order, last ...func()) *victim {
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
	out, err1 := os.Create(v.out)
	log, err2 := os.Create(v.log)
	wait, begin, err3 := os.Pipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		c.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = wait, out, log
	v.process, err = testserver.Spawn(cmd)
	if err := errors.Join(err, wait.Close(), out.Close(), log.Close()); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		v.process.Signal(os.Kill)
		<-v.process.Ended()
	})
	c.until("the process is there", func() bool { return v.said() != "" || v.process.State() != nil })
	for _, f := range last {
		f()
	}
	if err := begin.Close(); err != nil {
		c.Fatal(err)
	}
	return v
}

// said is what it wrote so far.
func (v *victim) said() string {
	v.c.Helper()
	text, err := os.ReadFile(v.out)
	if err != nil {
		v.c.Fatal(err)
	}
	return string(text)
}

// delivered is what it was delivered so far, as "id attempt".
func (v *victim) delivered() []string {
	v.c.Helper()
	return strings.Split(strings.TrimSpace(v.said()), "\n")[1:]
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

// kill has a process do that, after all of last, and die at the cell's point.
func (c *cell) kill(o order, last ...func()) *victim {
	c.Helper()
	v := c.start(o, last...)
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
		case <-time.After(50 * time.Millisecond):
		case <-end:
			c.Fatalf("killed at %s: waited in vain until %s", c.point, what)
		}
	}
}
