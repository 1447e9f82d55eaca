// Package testserver brings the real servers that tests run against: into a
// private cache folder, without root and without a Docker engine, each started
// with a data folder and a loopback port of its own.
//
// A server ends with the process that started it, also when that is killed.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kind is a kind of server; tests carry its name, by which they are counted.
type Kind string

// The kinds of server. MySQL 5.6 and 9.7 bracket what is promised.
const (
	MySQL     Kind = "mysql97"
	MySQL56   Kind = "mysql56"
	MariaDB   Kind = "mariadb"
	Redis     Kind = "redis7"
	Valkey    Kind = "valkey"
	RedisUTF8 Kind = "redis-utf8" // Redis 7 under an en_US.UTF-8 locale
)

// Kinds lists all kinds, the main two first.
func Kinds() []Kind { return []Kind{MySQL, Redis, MySQL56, MariaDB, Valkey, RedisUTF8} }

// SQL reports whether servers of kind k speak MySQL's protocol.
func (k Kind) SQL() bool { return k == MySQL || k == MySQL56 || k == MariaDB }

// ready is how long a server may take until it answers.
const ready = 2 * time.Minute

// Server is one running server. Its methods are not safe for concurrent use.
type Server struct {
	Kind    Kind   // what it is, also if it was asked for as MySQL
	Addr    string // host:port
	dsn     string // of a MySQL that was given from outside
	base    string // where its programs are
	dir     string // its data
	args    []string
	program string    // of a Redis that has a configuration file: redis-server or redis-sentinel
	child   *child    // nil while it is down, and if it is not ours
	guard   io.Closer // of a container: closing it removes the container
}

// Start installs the programs of kind if need be, and starts a server with empty
// data. Args are appended to its command line. Close it.
func Start(ctx context.Context, kind Kind, args ...string) (*Server, error) {
	base, err := install(ctx, kind)
	if err != nil {
		return nil, err
	}
	sweep()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-%s-", prefix, os.Getpid(), kind))
	if err != nil {
		return nil, fmt.Errorf("data folder of %s: %w", kind, err)
	}
	s := &Server{Kind: kind, base: base, dir: dir, args: args}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.boot(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prefix of data folders; the process id of their owner follows.
const prefix = "triggerhook-"

// sweep removes the data folders that dead processes left behind.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		var pid int
		name := strings.TrimPrefix(filepath.Base(dir), prefix)
		if _, err := fmt.Sscanf(name, "%d-", &pid); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
}

// cacheDir is where programs are installed once for all runs.
func cacheDir() (string, error) {
	if dir := os.Getenv("TRIGGERHOOK_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache folder for test servers: %w; set TRIGGERHOOK_CACHE", err)
	}
	return filepath.Join(dir, "triggerhook"), nil
}

func script(name string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "scripts", "servers", name)
}

// Program installs what a kind that is no server brings, and returns how to run a
// program of it.
func Program(ctx context.Context, kind Kind, path string) (func(args ...string) *exec.Cmd, error) {
	base, err := install(ctx, kind)
	if err != nil {
		return nil, err
	}
	return func(args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, "bash", append([]string{script("debrun.sh"), filepath.Join(base, "root"), path}, args...)...)
	}, nil
}

func install(ctx context.Context, kind Kind) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "bash", script("install.sh"), cache, string(kind))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("install %s: %w: %s", kind, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// prepare fills the data folder.
func (s *Server) prepare() error {
	if s.Kind == Postgres {
		return s.preparePostgres()
	}
	if !s.Kind.SQL() {
		return nil
	}
	if err := os.Mkdir(filepath.Join(s.dir, "tmp"), 0o700); err != nil {
		return fmt.Errorf("data of %s: %w", s.Kind, err)
	}
	if out, err := exec.Command("cp", "-a", filepath.Join(s.base, "data"), filepath.Join(s.dir, "data")).CombinedOutput(); err != nil {
		return fmt.Errorf("data of %s: %w: %s", s.Kind, err, out)
	}
	return nil
}

// boot starts the process and waits until it answers; a port that another process
// took meanwhile is exchanged for another, unless s had it before.
func (s *Server) boot(ctx context.Context) error {
	given := s.Addr != ""
	var err error
	for range 5 {
		if !given {
			if s.Addr, err = freeAddr(); err != nil {
				return err
			}
		}
		if err = s.launch(ctx); err == nil {
			return nil
		}
		s.Kill()
		if given || !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			break
		}
	}
	return err
}

// freeAddr finds a port that is free now. It lies below those that the kernel
// hands out (Linux: from 32768), so that no process is given it while a test has
// stopped the server.
func freeAddr() (string, error) {
	var err error
	for range 20 {
		var l net.Listener
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10240+rand.N(32768-10240)))
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

func (s *Server) launch(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("log of %s: %w", s.Kind, err)
	}
	defer log.Close()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	if s.child, err = spawn(cmd); err != nil {
		return fmt.Errorf("start %s: %w", s.Kind, err)
	}
	if err := s.wait(ctx); err != nil {
		return fmt.Errorf("start %s: %w: %s", s.Kind, err, tail(log.Name()))
	}
	return nil
}

// ours reports whether it is our process that answers, not one that was quicker
// to take the port: MySQL writes its pid file after it has the port.
func (s *Server) ours() bool {
	if s.child == nil {
		return true
	}
	pid := strconv.Itoa(s.child.cmd.Process.Pid)
	if s.Kind == Postgres {
		b, _ := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
		return strings.HasPrefix(string(b), pid+"\n")
	}
	if s.Kind.SQL() {
		b, _ := os.ReadFile(filepath.Join(s.dir, "pid"))
		return strings.TrimSpace(string(b)) == pid
	}
	info, _ := s.ask("INFO server")
	return strings.Contains(info, "\nprocess_id:"+pid+"\r")
}

// wait returns once the server answers, or says why it will not.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	var ended <-chan struct{}
	if s.child != nil {
		ended = s.child.ended
	}
	for !s.answers() || !s.ours() {
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("it ended: %s", s.child.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer at %s: %w", s.Addr, ctx.Err())
		}
	}
	return nil
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-1500):])
}

// Kill ends the server as a crash would. It does nothing to a server that is
// down already or was given from outside.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server as an operator would. It waits for the end, however long
// that takes.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Pause stops the process where it is, as a stalled machine would; its
// connections stay open.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) end(sig syscall.Signal) {
	s.signal(sig)
	if s.child != nil {
		<-s.child.ended
	}
	s.child = nil
}

func (s *Server) signal(sig syscall.Signal) {
	if s.child != nil {
		_ = s.child.cmd.Process.Signal(sig) // fails only if it has ended
	}
}

// Boot starts a server again that was stopped or killed: same address and data.
// A Redis has kept none, unless Snapshot was called: then it loads the last one.
func (s *Server) Boot(ctx context.Context) error { return s.boot(ctx) }

// Snapshot makes a Redis write down what it holds, for the next Boot. It is not
// for servers that were given from outside.
func (s *Server) Snapshot() error {
	if s.dir == "" || s.Kind.SQL() {
		return fmt.Errorf("snapshot %s: not a Redis that was started here", s.Kind)
	}
	answer, err := s.ask("SAVE")
	if err == nil && answer != "+OK" {
		err = errors.New(answer)
	}
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", s.Kind, err)
	}
	return nil
}

// Forget removes what Snapshot wrote: the next Boot starts empty again.
func (s *Server) Forget() error {
	err := os.Remove(filepath.Join(s.dir, "dump.rdb"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the snapshot of %s: %w", s.Kind, err)
	}
	return nil
}

// PID is the server's process; 0 while it is down, and if it is not ours.
func (s *Server) PID() int {
	if s.child == nil {
		return 0
	}
	return s.child.cmd.Process.Pid
}

// Dir is the server's data folder; empty if it was given from outside.
func (s *Server) Dir() string { return s.dir }

// Close kills the server and removes its data. A server that was given from
// outside is left alone.
func (s *Server) Close() error {
	s.Kill()
	var err error
	if s.guard != nil {
		err = s.guard.Close()
		s.guard = nil
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
