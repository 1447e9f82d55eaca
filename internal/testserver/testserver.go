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
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
const ready = 60 * time.Second

// Server is one running server. Its methods are not safe for concurrent use.
type Server struct {
	Kind Kind
	Addr string // host:port
	dsn  string // of a MySQL that was given from outside
	base string // where its programs are
	dir  string // its data
	args []string
	cmd  *exec.Cmd
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

// boot starts the process and waits until it answers; a port that somebody else
// took meanwhile is exchanged for another.
func (s *Server) boot(ctx context.Context) error {
	var err error
	for range 3 {
		if s.Addr == "" {
			if s.Addr, err = freeAddr(); err != nil {
				return err
			}
		}
		if err = s.launch(ctx); err == nil {
			return nil
		}
		if s.cmd != nil {
			s.Kill()
		}
		if !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			break
		}
		s.Addr = ""
	}
	return err
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *Server) launch(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("log of %s: %w", s.Kind, err)
	}
	defer log.Close()
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", s.Kind, err)
	}
	s.cmd = cmd
	if err := s.wait(ctx); err != nil {
		return fmt.Errorf("start %s: %w: %s", s.Kind, err, tail(log.Name()))
	}
	return nil
}

// starter starts all children on one locked thread that never ends: the kernel
// sends Pdeathsig when the thread that forked ends, not the process.
var starter = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for f := range starter {
			f()
		}
	}()
}

func start(cmd *exec.Cmd) error {
	done := make(chan error)
	starter <- func() { done <- cmd.Start() }
	return <-done
}

// wait returns once the server greets (MySQL) or answers PING (Redis).
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.answers() {
			return nil
		}
		var st syscall.WaitStatus
		if pid, _ := syscall.Wait4(s.cmd.Process.Pid, &st, syscall.WNOHANG, nil); pid > 0 {
			s.cmd = nil
			return fmt.Errorf("it ended with status %d", st.ExitStatus())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Server) answers() bool {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if !s.Kind.SQL() {
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			return false
		}
	}
	buf := make([]byte, 16)
	n, _ := conn.Read(buf)
	if s.Kind.SQL() {
		return n > 4 && buf[4] == 10 // protocol version of the handshake
	}
	return strings.HasPrefix(string(buf[:n]), "+PONG")
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-1500):])
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server as an operator would.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Pause stops the process where it is; Continue lets it go on.
func (s *Server) Pause() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Boot starts a server again that was stopped or killed: same address and data.
// A Redis has kept none, unless Snapshot was called: then it loads that.
func (s *Server) Boot(ctx context.Context) error { return s.boot(ctx) }

// Close kills the server and removes its data.
func (s *Server) Close() error {
	s.Kill()
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// Dir is the server's data folder; a Redis that is told to SAVE leaves its
// dump.rdb there and loads it at the next Boot.
func (s *Server) Dir() string { return s.dir }
