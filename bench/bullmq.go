package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// bullmqFiles are BullMQ's side of the benchmarks, a program for Node.
//
//go:embed bullmq/package.json bullmq/package-lock.json bullmq/bench.js
var bullmqFiles embed.FS

// bullmqWorkers is the concurrency of a worker.
const bullmqWorkers = 100

// bullmqEnv is how the program learns where its queue is.
const bullmqEnv = "TRIGGERHOOK_BENCH_BULLMQ"

// bullmq is BullMQ on a Redis that flushes its log at each write. It lives in a Node process, to which calls go as lines of JSON; the
// time of a delivery is that at which its handler runs there.
type bullmq struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{} // closed once the output of the process has ended

	mu      sync.Mutex // guards writes to in, and what follows
	last    int
	pending map[int]chan bullmqAnswer
	gone    error // why there are no more answers

	deliver atomic.Pointer[func(id string, at time.Time)]
	done    atomic.Int64

	drop func() error // what close removes; nil in a process that did not make the queue
}

// bullmqCall is a line to the process, bullmqAnswer one from it.
type bullmqCall struct {
	Call  int          `json:"call"`
	Op    string       `json:"op"`
	Tasks []bullmqTask `json:"tasks,omitempty"`
	IDs   []string     `json:"ids,omitempty"`
}

type bullmqTask struct {
	ID      string `json:"id"`
	Due     int64  `json:"due"` // unix milliseconds
	Now     bool   `json:"now"`
	Payload string `json:"payload"`
}

type bullmqAnswer struct {
	Call  int     `json:"call"`
	Error string  `json:"error"`
	N     int     `json:"n"`
	At    [][]any `json:"at"` // deliveries: the id, and when in unix microseconds
	Done  *int64  `json:"done"`
}

// installBullMQ writes the program into the cache folder and installs its packages there, once for each version of its files.
func installBullMQ(ctx context.Context) (dir string, err error) {
	base := os.Getenv("TRIGGERHOOK_CACHE")
	if base == "" {
		if base, err = os.UserCacheDir(); err != nil {
			return "", fmt.Errorf("cache folder for BullMQ: %w; set TRIGGERHOOK_CACHE", err)
		}
		base = filepath.Join(base, "triggerhook")
	}
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json", "bench.js"} {
		text, err := bullmqFiles.ReadFile("bullmq/" + name)
		if err != nil {
			return "", fmt.Errorf("read %s of BullMQ's side: %w", name, err)
		}
		files[name] = text
		sum.Write(text)
	}
	dir = filepath.Join(base, fmt.Sprintf("bullmq-%x", sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, installInto(ctx, dir, files)
}

// installInto makes dir whole or not at all: it may be made by several processes at once.
func installInto(ctx context.Context, dir string, files map[string][]byte) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("cache folder for BullMQ: %w", err)
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), "bullmq-part-")
	if err != nil {
		return fmt.Errorf("cache folder for BullMQ: %w", err)
	}
	defer os.RemoveAll(part)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(part, name), text, 0o644); err != nil {
			return fmt.Errorf("write BullMQ's side: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = part
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci for BullMQ (it needs Node 20 or later, and npm): %w: %s", err, out)
	}
	if err := os.Rename(part, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil // another process was faster
		}
		return fmt.Errorf("install BullMQ: %w", err)
	}
	return nil
}

// bullmqVersion is the version that is installed in dir.
func bullmqVersion(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "bullmq", "package.json"))
	var about struct{ Version string }
	if err == nil {
		err = json.Unmarshal(text, &about)
	}
	if err != nil {
		return "", fmt.Errorf("version of BullMQ: %w", err)
	}
	return about.Version, nil
}

func openBullMQ(ctx context.Context, j job, fresh bool) (system, error) {
	host, port, err := net.SplitHostPort(j.Clients.Flushed)
	if err != nil {
		return nil, fmt.Errorf("address of Redis: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("port of Redis: %w", err)
	}
	config, err := json.Marshal(map[string]any{"host": host, "port": number, "queue": j.Name, "concurrency": bullmqWorkers})
	if err != nil {
		return nil, fmt.Errorf("configure BullMQ: %w", err)
	}
	b := &bullmq{cmd: exec.Command("node", "bench.js"), ended: make(chan struct{}), pending: map[int]chan bullmqAnswer{}}
	b.cmd.Dir, b.cmd.Stderr, b.cmd.Env = j.BullMQ, os.Stderr, append(os.Environ(), bullmqEnv+"="+string(config))
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start Node: %w", err)
	}
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start Node: %w", err)
	}
	go b.listen(out)
	if fresh {
		b.drop = func() error { return unlink(context.WithoutCancel(ctx), j.Direct.Flushed, "bull:"+j.Name+":*") }
	}
	_, err = b.call(ctx, bullmqCall{Op: "left"}) // it is up, and its queue too
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// listen hands out what the process writes, until it ends.
func (b *bullmq) listen(out io.Reader) {
	defer close(b.ended)
	lines := bufio.NewReaderSize(out, 1<<16)
	var err error
	for err == nil {
		var line []byte
		if line, err = lines.ReadBytes('\n'); err == nil {
			err = b.hear(line)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = fmt.Errorf("BullMQ's process answers no more: %w", err)
	for call, to := range b.pending {
		delete(b.pending, call)
		close(to)
	}
}

func (b *bullmq) hear(line []byte) error {
	var a bullmqAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("read %q: %w", line, err)
	}
	for _, d := range a.At {
		id, isID := d[0].(string)
		at, isTime := d[len(d)-1].(float64)
		deliver := b.deliver.Load()
		if !isID || !isTime || deliver == nil {
			return fmt.Errorf("no delivery: %q", line)
		}
		(*deliver)(id, time.UnixMicro(int64(at)))
	}
	if a.Done != nil {
		b.done.Store(*a.Done)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if to := b.pending[a.Call]; to != nil {
		delete(b.pending, a.Call)
		to <- a
	}
	return nil
}

// call sends a call and waits for its answer.
func (b *bullmq) call(ctx context.Context, c bullmqCall) (int, error) {
	to := make(chan bullmqAnswer, 1)
	if err := b.send(c, to); err != nil {
		return 0, fmt.Errorf("BullMQ: %s: %w", c.Op, err)
	}
	select {
	case a, ok := <-to:
		if !ok {
			return 0, fmt.Errorf("BullMQ: %s: %w", c.Op, b.why())
		}
		if a.Error != "" {
			return 0, fmt.Errorf("BullMQ: %s: %s", c.Op, a.Error)
		}
		return a.N, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (b *bullmq) send(c bullmqCall, to chan bullmqAnswer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone != nil {
		return b.gone
	}
	b.last++
	c.Call = b.last
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	b.pending[c.Call] = to
	_, err = b.in.Write(append(text, '\n'))
	return err
}

func (b *bullmq) why() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone
}

func (b *bullmq) create(ctx context.Context, items []item) error {
	tasks := make([]bullmqTask, len(items))
	for i, it := range items {
		tasks[i] = bullmqTask{ID: it.id, Due: it.due.UnixMilli(), Now: it.now, Payload: string(it.payload)}
	}
	_, err := b.call(ctx, bullmqCall{Op: "create", Tasks: tasks})
	return err
}

func (b *bullmq) delete(ctx context.Context, ids []string) error {
	if len(ids) != 1 {
		return cannot("BullMQ has no call that deletes many jobs by their ids")
	}
	_, err := b.call(ctx, bullmqCall{Op: "delete", IDs: ids})
	return err
}

func (b *bullmq) fill(ctx context.Context, n int, at func(int) item) error {
	return each(ctx, n, 500, 4, func(ctx context.Context, from, to int) error { return b.create(ctx, items(from, to, at)) })
}

func (b *bullmq) start(context.Context) error { return nil }

func (b *bullmq) hot(context.Context) (int, error) {
	return 0, cannot("BullMQ has one store: its figures are those from rows")
}

func (b *bullmq) consume(ctx context.Context, c consumption) error {
	b.deliver.Store(&c.deliver)
	if _, err := b.call(ctx, bullmqCall{Op: "consume"}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-b.ended:
		return b.why()
	}
}

func (b *bullmq) settled(context.Context) (int, error) { return int(b.done.Load()), nil }

func (b *bullmq) left(ctx context.Context, _ int) (int, error) {
	return b.call(ctx, bullmqCall{Op: "left"})
}

func (b *bullmq) calls() int64 { return -1 }

// close lets the process finish what it has in hand, and removes what is left of the queue.
func (b *bullmq) close() error {
	err := b.in.Close()
	<-b.ended
	if e := b.cmd.Wait(); e != nil {
		err = errors.Join(err, fmt.Errorf("BullMQ's process: %w", e))
	}
	if b.drop != nil {
		err = errors.Join(err, b.drop())
	}
	return err
}
