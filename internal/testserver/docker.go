package testserver

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// container starts a main server as a container, or returns nil if no Docker
// engine answers. The container removes itself when it is stopped.
func container(ctx context.Context, kind Kind) *Server {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "info").Run() != nil {
		return nil
	}
	args := []string{"run", "-d", "--rm", "-p", "127.0.0.1::6379", "redis:7"}
	port := "6379"
	if kind == MySQL {
		args = []string{"run", "-d", "--rm", "-e", "MYSQL_ALLOW_EMPTY_PASSWORD=1", "-p", "127.0.0.1::3306", "mysql:8.4", "--max-connections=500"}
		port = "3306"
	}
	id, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return nil
	}
	name := strings.TrimSpace(string(id))
	addr, err := exec.CommandContext(ctx, "docker", "port", name, port).Output()
	if err != nil {
		return nil
	}
	s := &Server{Kind: kind, Addr: strings.TrimSpace(strings.Split(string(addr), "\n")[0])}
	s.cmd = exec.Command("docker", "attach", name) // stands for the container: it ends when that ends
	if start(s.cmd) != nil || s.wait(ctx) != nil {
		return nil
	}
	return s
}
