package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Acts of a worker, the first byte of a line: act, task, process, lateness in us.
const (
	begun  byte = 'b' // before the work
	done   byte = 'd' // after Confirm returned nil
	failed byte = 'f' // Confirm returned an error
	lost   byte = 'l' // the delivery's context ended in mid-work
)

// delivery is one time that a worker had a task.
type delivery struct {
	pid int
	end byte // done, failed, lost, or 0 while the worker has it
	// ghost: it began after a delivery of the task had been confirmed
	ghost bool
}

// history is what the workers wrote, in the order in which it happened.
type history struct {
	path   string
	offset int64
	tasks  map[string][]delivery
	late   []int64 // us, of first deliveries
	early  int
	failed int
}

func newHistory(path string) *history { return &history{path: path, tasks: map[string][]delivery{}} }

// update reads on to where the file ends now.
func (h *history) update() error {
	f, err := os.Open(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no worker has begun
	}
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, h.offset, 1<<40))
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	h.offset += int64(len(text))
	for line := range strings.Lines(string(text)) {
		if err := h.add(line); err != nil {
			return fmt.Errorf("read history: %w", err)
		}
	}
	return nil
}

func (h *history) add(line string) error {
	w := strings.Fields(line)
	if len(w) != 4 || len(w[0]) != 1 {
		return fmt.Errorf("strange line %q", line)
	}
	pid, err1 := strconv.Atoi(w[2])
	late, err2 := strconv.ParseInt(w[3], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("strange line %q: %w", line, err)
	}
	if what := w[0][0]; what != begun {
		return h.end(w[1], pid, what)
	}
	h.begin(w[1], pid, late)
	return nil
}

func (h *history) begin(id string, pid int, late int64) {
	ds := h.tasks[id]
	d := delivery{pid: pid}
	for _, before := range ds {
		d.ghost = d.ghost || before.end == done
	}
	if late < 0 {
		h.early++
	}
	if len(ds) == 0 {
		h.late = append(h.late, late)
	}
	h.tasks[id] = append(ds, d)
}

// end ends the delivery that pid has of a task.
func (h *history) end(id string, pid int, what byte) error {
	ds := h.tasks[id]
	for i := len(ds) - 1; i >= 0; i-- {
		if ds[i].pid == pid && ds[i].end == 0 {
			ds[i].end = what
			if what == failed {
				h.failed++
			}
			return nil
		}
	}
	return fmt.Errorf("process %d ended %q (%c), which it had not begun", pid, id, what)
}

// held counts what each process has in hand.
func (h *history) held() map[int]int {
	n := map[int]int{}
	for _, ds := range h.tasks {
		for _, d := range ds {
			if d.end == 0 {
				n[d.pid]++
			}
		}
	}
	return n
}

// again counts deliveries after the first. Those are unexplained unless the one
// before was in the hands of a process that was killed.
func (h *history) again(killed map[int]bool) (duplicates, unexplained, ghosts int) {
	for _, ds := range h.tasks {
		for i, d := range ds[1:] {
			duplicates++
			if before := ds[i]; !killed[before.pid] || before.end != 0 {
				unexplained++
			}
			if d.ghost {
				ghosts++
			}
		}
	}
	return duplicates, unexplained, ghosts
}
