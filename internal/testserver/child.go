package testserver

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
)

// Goroutines is the function that all goroutines of this package run under: a
// leak check (goleak.IgnoreAnyFunction) is to leave them out.
const Goroutines = "github.com/triggerhook/triggerhook/internal/testserver.background"

func background(f func()) { f() }

// child is a process that ends with this one.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once the process has ended and was waited for
}

// spawn starts cmd as a child. Its output must be files, because this process reads no pipe.
func spawn(cmd *exec.Cmd) (*child, error) {
	endWithParent(cmd)
	failed := make(chan error)
	starter() <- func() { failed <- cmd.Start() }
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("spawn %s: %w", cmd.Path, err)
	}
	c := &child{cmd: cmd, ended: make(chan struct{})}
	go background(func() {
		_ = cmd.Wait() // its ProcessState tells
		close(c.ended)
	})
	return c, nil
}

// starter starts all children on one thread that lasts as long as the process.
// The kernel sends a child its Pdeathsig when the THREAD that forked it ends, and
// Go ends threads as it likes: a child started by any goroutine could be killed
// in the middle of a test.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go background(func() {
		runtime.LockOSThread() // never unlocked
		for f := range work {
			f()
		}
	})
	return work
})
