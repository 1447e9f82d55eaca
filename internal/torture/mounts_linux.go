package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// A disk that is full needs a small file system, and to mount one needs a mount
// namespace of one's own: as root, or as a user who looks like root in a user
// namespace. The program runs itself anew in them, so that its servers and workers
// are in them too, and nothing stays mounted when they have ended.

// ownEnv is set for the program that runs in them.
const ownEnv = "TRIGGERHOOK_TORTURE_MOUNTS"

// canMount reports whether mount works in this process.
func canMount() bool { return os.Getenv(ownEnv) != "" }

// runInOwn runs this program with those arguments in namespaces of its own, and
// returns its exit status. An error says that the machine gives none.
func runInOwn(args ...string) (int, error) {
	runtime.LockOSThread() // the kernel ends the child with the thread that began it
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), ownEnv+"=own")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(told)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("mount a small file system: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-told:
			_ = cmd.Process.Signal(sig) // fails only if it has ended
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, fmt.Errorf("run in own namespaces: %w", err)
			}
			if !cmd.ProcessState.Exited() {
				return 0, fmt.Errorf("run in own namespaces: it ended with %s", cmd.ProcessState)
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// mount puts a file system of so many bytes at dir, which only this process's
// namespace sees.
func mount(dir string, bytes int) error {
	if !canMount() {
		return errors.New("not in a mount namespace of its own")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount("torture", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		return fmt.Errorf("mount at %s: %w", dir, err)
	}
	return nil
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
