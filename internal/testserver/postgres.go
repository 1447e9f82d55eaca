package testserver

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Postgres serves the benchmarks of peers. No test of the library needs it, so it
// is not among Kinds.
const Postgres Kind = "postgres15"

// nobodyID is the user ID of `nobody`, which runs PostgreSQL if root starts it, because PostgreSQL refuses root.
const nobodyID = 65534

// preparePostgres makes an empty cluster. No other user can look into the
// cache folder of root, so for root the programs come into the data folder too, as links.
func (s *Server) preparePostgres() error {
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("data of %s: %w", s.Kind, err)
	}
	if os.Geteuid() == 0 {
		from, to := filepath.Join(s.base, "root"), filepath.Join(s.dir, "root")
		if exec.Command("cp", "-al", from, to).Run() != nil { // another file system
			if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
				return fmt.Errorf("programs of %s: %w: %s", s.Kind, err, out)
			}
		}
		if err := os.Chmod(s.dir, 0o755); err != nil {
			return fmt.Errorf("data of %s: %w", s.Kind, err)
		}
		if err := os.Chown(data, nobodyID, nobodyID); err != nil {
			return fmt.Errorf("data of %s: %w", s.Kind, err)
		}
	}
	init := s.postgres("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("data of %s: %w: %s", s.Kind, err, out)
	}
	return nil
}

// postgresServer is the server's command line: it flushes at each commit, which is
// its default.
func (s *Server) postgresServer(port string) *exec.Cmd {
	args := []string{"-D", filepath.Join(s.dir, "data"), "-p", port}
	for _, set := range []string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on", "synchronous_commit=on",
		"max_connections=300", "shared_buffers=256MB", "jit=off"} {
		args = append(args, "-c", set)
	}
	return s.postgres("postgres", append(args, s.args...)...)
}

func (s *Server) postgres(prog string, args ...string) *exec.Cmd {
	root := filepath.Join(s.base, "root")
	if os.Geteuid() == 0 {
		root = filepath.Join(s.dir, "root")
	}
	cmd := exec.Command(filepath.Join(root, "usr/lib/postgresql/15/bin", prog), args...)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	}
	return cmd
}

// hello logs in to a PostgreSQL and reads its version from what it tells a new
// client: a message 'R' (accepted), then 'S' messages, name NUL value NUL.
func (s *Server) hello() (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	start := append(binary.BigEndian.AppendUint32(nil, 3<<16), "user\x00postgres\x00database\x00postgres\x00\x00"...)
	start = append(binary.BigEndian.AppendUint32(nil, uint32(len(start)+4)), start...)
	if _, err := conn.Write(start); err != nil {
		return "", fmt.Errorf("greet %s: %w", s.Kind, err)
	}
	got, err := readUntil(conn, []byte("server_version\x00"))
	if err != nil {
		return "", fmt.Errorf("greeting of %s: %w: %q", s.Kind, err, got)
	}
	_, v, _ := bytes.Cut(got, []byte("server_version\x00"))
	v, _, _ = bytes.Cut(v, []byte{0})
	v, _, _ = bytes.Cut(v, []byte{' '})
	return string(v), nil
}

// readUntil reads until mark and a NUL some time after it have arrived.
func readUntil(conn net.Conn, mark []byte) ([]byte, error) {
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if _, rest, ok := bytes.Cut(got, mark); ok && bytes.IndexByte(rest, 0) >= 0 {
			return got, nil
		}
		if err != nil {
			return got, err
		}
	}
}
