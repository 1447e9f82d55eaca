package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// workerEnv makes this program one worker process of a measurement.
const workerEnv = "TRIGGERHOOK_BENCH_WORKER"

// workerSpec is what a worker process is told.
type workerSpec struct {
	Job  job
	File string // where it writes down its deliveries
	// AtOnce: each delivery is in the file before the task is confirmed, because this process may be killed.
	AtOnce bool
}

// workerSums are what a worker process has cost, which it tells at its end.
type workerSums struct {
	Alloc uint64
	Sent  int64
	RSSMB float64
}

// recordSize is one delivery: the task's index and when, unix microseconds.
const recordSize = 16

// workerMain consumes until standard input ends.
func workerMain(ctx context.Context, text string) (err error) {
	var spec workerSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	f, err := os.Create(spec.File)
	if err != nil {
		return fmt.Errorf("file of deliveries: %w", err)
	}
	sys, err := open(ctx, spec.Job, false)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	d := &diary{out: bufio.NewWriterSize(f, 1<<16), atOnce: spec.AtOnce}
	err = sys.consume(ctx, consumption{consumers: 1, confirm: true, deliver: d.deliver, fails: spec.Job.Variant.fails})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	sums := workerSums{Alloc: mem.TotalAlloc, Sent: max(0, sys.calls())}
	_, sums.RSSMB, _ = usage(nil)
	return errors.Join(err, sys.close(), d.flush(), f.Close(), json.NewEncoder(os.Stdout).Encode(sums))
}

// diary writes down deliveries. It may keep some back for flushEvery, unless its process may be killed. While nothing is delivered it does nothing: the
// process is measured.
type diary struct {
	mu     sync.Mutex
	out    *bufio.Writer
	atOnce bool
	kept   bool // a flush is to come
}

// flushEvery is how often the driver sees how far a worker is.
const flushEvery = 50 * time.Millisecond

func (d *diary) deliver(id string, at time.Time) {
	var rec [recordSize]byte
	binary.LittleEndian.PutUint64(rec[:], uint64(indexOf(id)))
	binary.LittleEndian.PutUint64(rec[8:], uint64(at.UnixMicro()))
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.out.Write(rec[:]) // an error stays until flush
	switch {
	case d.atOnce:
		_ = d.out.Flush()
	case !d.kept:
		d.kept = true
		time.AfterFunc(flushEvery, func() { _ = d.flush() }) // the error stays, too
	}
}

func (d *diary) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = false
	return d.out.Flush()
}

// crew is the worker processes of a measurement.
type crew struct {
	cmds  []*exec.Cmd
	stdin []io.Closer
	sums  []io.Reader
	files []string
	gone  []string // files of workers that have ended before the others
}

// join adds the workers of another crew.
func (c *crew) join(more *crew) {
	c.cmds, c.stdin, c.sums, c.files = append(c.cmds, more.cmds...), append(c.stdin, more.stdin...), append(c.sums, more.sums...), append(c.files, more.files...)
}

// leave takes worker i out. What it has written down stays.
func (c *crew) leave(i int) {
	c.gone = append(c.gone, c.files[i])
	c.cmds, c.stdin = slices.Delete(c.cmds, i, i+1), slices.Delete(c.stdin, i, i+1)
	c.sums, c.files = slices.Delete(c.sums, i, i+1), slices.Delete(c.files, i, i+1)
}

// kill ends worker i as a crash would.
func (c *crew) kill(i int) error {
	cmd := c.cmds[i]
	c.leave(i)
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill a worker: %w", err)
	}
	var ended *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
		return fmt.Errorf("kill a worker: %w", err)
	}
	return nil
}

// retire ends worker i as an operator would, and waits for its end.
func (c *crew) retire(i int) error {
	one := &crew{cmds: c.cmds[i : i+1 : i+1], stdin: c.stdin[i : i+1 : i+1], sums: c.sums[i : i+1 : i+1]}
	_, err := one.dismiss(nil)
	c.leave(i)
	return err
}

// hire starts n worker processes.
func (s *stage) hire(n int) (*crew, error) {
	c := &crew{}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	for range n {
		spec := workerSpec{Job: s.job, File: filepath.Join(s.Dir, fmt.Sprintf("worker-%d", s.hired)), AtOnce: s.Scenario == "recovery"}
		s.hired++
		text, err := json.Marshal(spec)
		if err != nil {
			return c, fmt.Errorf("start a worker: %w", err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), jobEnv+"=", natsEnv+"=", workerEnv+"="+string(text))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return c, fmt.Errorf("start a worker: %w", err)
		}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return c, fmt.Errorf("start a worker: %w", err)
		}
		c.cmds, c.stdin, c.sums, c.files = append(c.cmds, cmd), append(c.stdin, in), append(c.sums, out), append(c.files, spec.File)
	}
	return c, nil
}

// delivered is how many deliveries they have written down.
func (c *crew) delivered() (n int) {
	for _, name := range append(slices.Clone(c.files), c.gone...) {
		if st, err := os.Stat(name); err == nil {
			n += int(st.Size() / recordSize)
		}
	}
	return n
}

// dismiss ends them, and puts into book what they wrote down.
func (c *crew) dismiss(book *ledger) (all []workerSums, err error) {
	for _, in := range c.stdin {
		_ = in.Close() // which is the word to stop
	}
	for i, cmd := range c.cmds {
		var sums workerSums
		if e := json.NewDecoder(c.sums[i]).Decode(&sums); e != nil {
			err = errors.Join(err, fmt.Errorf("a worker told nothing at its end: %w", e))
		}
		err = errors.Join(err, cmd.Wait())
		all = append(all, sums)
	}
	for _, name := range append(slices.Clone(c.files), c.gone...) {
		text, e := os.ReadFile(name)
		err = errors.Join(err, e)
		for ; len(text) >= recordSize; text = text[recordSize:] {
			book.note(int(int64(binary.LittleEndian.Uint64(text))), time.UnixMicro(int64(binary.LittleEndian.Uint64(text[8:]))))
		}
	}
	return all, err
}
