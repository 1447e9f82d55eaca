package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// fleet is the worker processes of a run.
type fleet struct {
	workers []*worker
	killed  map[int]bool
	asked   []spec // of each worker, to start it again
}

// worker is one process.
type worker struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{} // closed once it has ended and was waited for
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

// start starts one more worker.
func (f *fleet) start(s spec) error {
	w, err := launch(s)
	if err != nil {
		return err
	}
	f.workers, f.asked = append(f.workers, w), append(f.asked, s)
	return nil
}

func launch(s spec) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	w := &worker{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its ProcessState tells
		close(w.ended)
	}()
	return w, nil
}

// kill ends worker i as kill -9 does, and returns what process it was.
func (f *fleet) kill(i int) int {
	w := f.workers[i]
	f.killed[w.pid()] = true
	_ = w.cmd.Process.Kill()
	<-w.ended
	return w.pid()
}

// restart starts another in the place of worker i.
func (f *fleet) restart(i int) error {
	w, err := launch(f.asked[i])
	if err == nil {
		f.workers[i] = w
	}
	return err
}

// fallen lists those that ended by themselves.
func (f *fleet) fallen() (all []string) {
	for _, w := range f.workers {
		select {
		case <-w.ended:
			if !f.killed[w.pid()] {
				all = append(all, w.cmd.ProcessState.String())
			}
		default:
		}
	}
	return all
}

// stop asks all to drain and end, and kills those that do not.
func (f *fleet) stop(within time.Duration) error {
	for _, w := range f.workers {
		_ = w.stdin.Close() // that it has ended is seen below
	}
	var errs []error
	limit := time.NewTimer(within)
	defer limit.Stop()
	for _, w := range f.workers {
		select {
		case <-w.ended:
		case <-limit.C:
			limit.Reset(0)
			errs = append(errs, fmt.Errorf("a worker did not stop within %s", within))
			_ = w.cmd.Process.Kill()
			<-w.ended
			continue
		}
		if !w.cmd.ProcessState.Success() {
			errs = append(errs, fmt.Errorf("a worker stopped with %s", w.cmd.ProcessState))
		}
	}
	return errors.Join(errs...)
}
