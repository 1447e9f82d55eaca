package testserver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// probe bounds one question to a server.
const probe = time.Second

// answers reports whether the server greets (MySQL, PostgreSQL) or answers PING (Redis).
func (s *Server) answers() bool {
	switch {
	case s.Kind.SQL():
		_, err := s.greeting()
		return err == nil
	case s.Kind == Postgres:
		_, err := s.hello()
		return err == nil
	}
	pong, err := s.ask("PING")
	return err == nil && pong == "+PONG"
}

// Version asks the server what it is: "9.7.1", "10.11.14", "7.0.15".
func (s *Server) Version() (string, error) {
	switch {
	case s.Kind.SQL():
		name, err := s.greeting()
		return version(name), err
	case s.Kind == Postgres:
		return s.hello()
	}
	info, err := s.ask("INFO server")
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", s.Kind, err)
	}
	for _, field := range []string{"\nvalkey_version:", "\nredis_version:"} {
		if _, v, ok := strings.Cut(info, field); ok {
			v, _, _ = strings.Cut(v, "\r")
			return v, nil
		}
	}
	return "", fmt.Errorf("version of %s: it answers %q", s.Kind, info)
}

// version is the number in what a MySQL calls itself: "9.7.1" of "9.7.1-log".
func version(name string) string {
	// MariaDB pretends to be 5.5.5 first, for old replicas
	v, _, _ := strings.Cut(strings.TrimPrefix(name, "5.5.5-"), "-")
	return v
}

// greets returns the kind that a server greets as. What is older than MySQL 5.7 counts as
// MySQL56, and what is newer as MySQL.
func (s *Server) greets() (Kind, error) {
	name, err := s.greeting()
	switch v := version(name); {
	case err != nil:
		return "", err
	case strings.Contains(name, "MariaDB"):
		return MariaDB, nil
	case strings.HasPrefix(v, "5.5."), strings.HasPrefix(v, "5.6."):
		return MySQL56, nil
	}
	return MySQL, nil
}

// greeting reads what the server calls itself from a MySQL's handshake: 4 bytes of packet header,
// the protocol's version (10), and the name up to a NUL: "10.11.14-MariaDB-0+deb12u2".
func (s *Server) greeting() (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil {
		return "", fmt.Errorf("greeting of %s: %w", s.Kind, err)
	}
	name, _, ok := bytes.Cut(buf[min(n, 5):n], []byte{0})
	if !ok || buf[4] != 10 {
		return "", fmt.Errorf("greeting of %s: %q", s.Kind, buf[:n])
	}
	return string(name), nil
}

// ask sends a Redis one inline command and returns its answer, as it stands in
// the protocol: the first line, or all of a bulk string.
func (s *Server) ask(command string) (string, error) {
	conn, err := s.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if command == "SAVE" {
		_ = conn.SetDeadline(time.Now().Add(ready))
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", fmt.Errorf("ask %s %s: %w", s.Kind, command, err)
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("ask %s %s: %w", s.Kind, command, err)
	}
	var size int
	if _, err := fmt.Sscanf(line, "$%d", &size); err != nil || size < 0 {
		return strings.TrimSpace(line), nil
	}
	bulk := make([]byte, size)
	_, err = io.ReadFull(in, bulk)
	return string(bulk), err
}

func (s *Server) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, probe)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", s.Kind, err)
	}
	_ = conn.SetDeadline(time.Now().Add(probe))
	return conn, nil
}
