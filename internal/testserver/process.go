package testserver

import (
	"os"
	"os/exec"
)

// Process is a program that ends with this one, as the servers do.
type Process struct{ child *child }

// Spawn starts cmd, which Process then waits for. Its output must be files,
// because this process reads no pipe.
func Spawn(cmd *exec.Cmd) (*Process, error) {
	c, err := spawn(cmd)
	if err != nil {
		return nil, err
	}
	return &Process{c}, nil
}

// Signal signals the process; one that has ended is left alone.
func (p *Process) Signal(sig os.Signal) {
	_ = p.child.cmd.Process.Signal(sig) // fails only if it has ended
}

// Ended is closed once the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.child.ended }

// State tells how it ended; nil while it runs.
func (p *Process) State() *os.ProcessState {
	select {
	case <-p.child.ended:
		return p.child.cmd.ProcessState
	default:
		return nil
	}
}
