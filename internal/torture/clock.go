package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// A worker whose clock is off is the same program, built with a package time whose
// Now adds the seconds that an environment variable names. (libfaketime cannot do
// it: Go programs are static and read the clock by themselves. A time namespace
// does not move the wall clock.) The monotonic clock, timers and all other
// processes stay right, as on a machine whose date is wrong, and the history goes
// by the kernel's clock: see history.Now.

// clockEnv names how many seconds this process's clock is ahead.
const clockEnv = "TRIGGERHOOK_TORTURE_CLOCK"

const (
	nowLine    = "\tsec, nsec, mono := runtimeNow()\n"
	shiftedNow = "\tsec, nsec, mono := runtimeNow()\n\tsec += shifted.Load()\n"
	// The variable is read now and then by a goroutine: the runtime asks for the
	// time where no lock may be waited for.
	shiftFile = `package time

import (
	"sync/atomic"
	"syscall"
)

var shifted atomic.Int64

func init() {
	readShift()
	go func() {
		for {
			Sleep(5 * Millisecond)
			readShift()
		}
	}()
}

func readShift() {
	var sec int64
	v, _ := syscall.Getenv("` + clockEnv + `")
	for _, c := range []byte(v) {
		if c >= '0' && c <= '9' {
			sec = 10*sec + int64(c-'0')
		}
	}
	if len(v) > 0 && v[0] == '-' {
		sec = -sec
	}
	shifted.Store(sec)
}
`
)

// buildShifted builds a program with a clock that can be shifted, in dir.
func buildShifted(ctx context.Context, dir, program string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's sources: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(src, "time.go"))
	if err != nil {
		return "", fmt.Errorf("read package time: %w", err)
	}
	if bytes.Count(text, []byte(nowLine)) < 1 {
		return "", fmt.Errorf("shift the clock: time.Now of %s is not the known one", runtime.Version())
	}
	files := map[string]string{"time.go": strings.Replace(string(text), nowLine, shiftedNow, 1), "shift.go": shiftFile}
	replace := map[string]string{}
	for name, text := range files {
		file := filepath.Join(dir, name+".txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write package time: %w", err)
		}
		replace[filepath.Join(src, name)] = file
	}
	return goBuild(ctx, dir, program, replace)
}

// sources is the folder of this program's sources.
func sources() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Dir(here)
}

func goBuild(ctx context.Context, dir, program string, replace map[string]string) (string, error) {
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("describe package time: %w", err)
	}
	file, out := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "worker")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", fmt.Errorf("describe package time: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", file, "-o", out, program)
	cmd.Dir = sources()
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build a worker whose clock can be shifted: %w: %s", err, text)
	}
	return out, nil
}
