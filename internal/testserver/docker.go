package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// pull is how long a container may take to be there, its image being fetched.
const pull = 5 * time.Minute

// container starts a main server as a container, or returns nil if no Docker
// engine answers, or one that gives no container: then a private server serves.
// The container ends with this process.
func container(ctx context.Context, kind Kind) *Server {
	if !engine(ctx) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pull)
	defer cancel()
	args, port := []string{"redis:7"}, "6379"
	if kind == MySQL {
		args, port = []string{"-e", "MYSQL_ALLOW_EMPTY_PASSWORD=1", "mysql:8.4", "--max-connections=500"}, "3306"
	}
	name := "triggerhook-test-" + strings.ToLower(rand.Text())
	g, err := newGuard(name)
	if err != nil {
		return nil
	}
	s := &Server{Kind: kind, guard: g}
	args = append([]string{"run", "-d", "--rm", "--name", name, "-p", "127.0.0.1::" + port}, args...)
	if exec.CommandContext(ctx, "docker", args...).Run() != nil || s.find(ctx, name, port) != nil {
		_ = s.Close()
		return nil
	}
	return s
}

// engine reports whether a Docker engine answers, which takes no longer than a
// hung one is to hold up the tests.
func engine(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// find asks where the container's port was put, and waits for the server there.
func (s *Server) find(ctx context.Context, name, port string) error {
	addr, err := exec.CommandContext(ctx, "docker", "port", name, port).Output()
	if err != nil {
		return fmt.Errorf("port of container %s: %w", name, err)
	}
	s.Addr, _, _ = strings.Cut(strings.TrimSpace(string(addr)), "\n")
	return s.wait(ctx)
}

// guard removes a container when it is closed, or when this process ends: it is a
// process whose standard input then ends.
type guard struct {
	in  io.Closer
	cmd *exec.Cmd
}

func newGuard(name string) (*guard, error) {
	cmd := exec.Command("bash", "-c", `read -r; docker rm -f "$1" >/dev/null 2>&1`, "guard", name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("guard container %s: %w", name, err)
	}
	return &guard{in: in, cmd: cmd}, nil
}

// Close returns once the container is gone.
func (g *guard) Close() error { return errors.Join(g.in.Close(), ignoreExit(g.cmd.Wait())) }

// ignoreExit leaves out the status of a process that did run: read ends with 1.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
