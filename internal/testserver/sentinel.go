package testserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// MasterName is what the Sentinels of a Sentinel call the master that they watch.
const MasterName = "main"

const (
	// DownAfter is after how long of silence a Sentinel holds a master for down. (Redis's
	// default is 30 s.)
	DownAfter = time.Second
	// failoverTimeout is for how long Sentinels do not try the failover of a master again.
	// (Redis's default is three minutes.)
	failoverTimeout = 10 * time.Second
)

// Sentinel is one Redis master with two replicas, and three Sentinels that watch them and
// promote a replica when the master is down.
type Sentinel struct {
	Nodes     []*Server // the master was the first of them when they began
	Sentinels []*Server // that watch them
}

// StartSentinel starts the six servers, and returns once the replicas follow the master and
// all Sentinels know of them. Close it.
func StartSentinel(ctx context.Context) (*Sentinel, error) {
	s := &Sentinel{}
	err := s.start(ctx)
	if err != nil {
		_ = closeAll(s.servers())
		return nil, fmt.Errorf("start a Redis with Sentinel: %w", err)
	}
	return s, nil
}

func (s *Sentinel) start(ctx context.Context) error {
	base, err := install(ctx, Redis)
	if err != nil {
		return err
	}
	lines := []string{"repl-diskless-sync-delay 0", "repl-ping-replica-period 1"}
	for range 3 {
		node, err := startFile(ctx, base, "redis-server", lines)
		if err != nil {
			return err
		}
		if s.Nodes = append(s.Nodes, node); len(s.Nodes) == 1 {
			lines = append(lines, "replicaof "+strings.ReplaceAll(node.Addr, ":", " "))
		}
	}
	host, port, _ := net.SplitHostPort(s.Nodes[0].Addr)
	lines = []string{
		fmt.Sprintf("sentinel monitor %s %s %s 2", MasterName, host, port),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", MasterName, DownAfter.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", MasterName, failoverTimeout.Milliseconds()),
	}
	for range 3 {
		node, err := startFile(ctx, base, "redis-sentinel", lines)
		if err != nil {
			return err
		}
		s.Sentinels = append(s.Sentinels, node)
	}
	return s.Ready(ctx)
}

// startFile starts a Redis with a configuration file of its own, which it rewrites when its
// part changes, so that it has the same part after another Boot.
func startFile(ctx context.Context, base, program string, lines []string) (*Server, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-%s-", prefix, os.Getpid(), program))
	if err != nil {
		return nil, fmt.Errorf("data folder of %s: %w", program, err)
	}
	s := &Server{Kind: Redis, base: base, dir: dir, program: program}
	if err := os.WriteFile(s.conf(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", program, err)
	}
	if err := s.boot(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// conf is the configuration file of a server that has one.
func (s *Server) conf() string { return filepath.Join(s.dir, "conf") }

// OwnSentinel starts a Sentinel for one test alone, which may break it.
func OwnSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s, err := StartSentinel(t.Context())
	if err != nil {
		t.Fatalf("no Redis with Sentinel can be had: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Addrs are the addresses of the Sentinels, by which a client finds the master.
func (s *Sentinel) Addrs() []string { return addrs(s.Sentinels) }

// Master is the node that most Sentinels say is the master; nil if they do not agree.
func (s *Sentinel) Master() *Server {
	votes := map[string]int{}
	for _, x := range s.Sentinels {
		if addr := x.field("INFO sentinel", "master0:", "address="); addr != "" {
			votes[addr]++
		}
	}
	for _, node := range s.Nodes {
		if 2*votes[node.Addr] > len(s.Sentinels) {
			return node
		}
	}
	return nil
}

// Replica is a node that follows node and has all that it held when the link came up; nil
// if none does.
func (s *Sentinel) Replica(node *Server) *Server { return replica(s.Nodes, node) }

// Ready returns once all servers are up, and each Sentinel knows the other two, and one
// master whose two replicas follow it.
func (s *Sentinel) Ready(ctx context.Context) error { return soon(ctx, "Sentinel", s.ready) }

func (s *Sentinel) ready() bool {
	master := s.Master()
	if master == nil || master.field("INFO replication", "role:", "") != "master" {
		return false
	}
	for _, node := range s.Nodes {
		if node != master && !node.follows(master) {
			return false
		}
	}
	for _, x := range s.Sentinels {
		line := x.field("INFO sentinel", "master0:", "")
		if !strings.Contains(line, "status=ok,address="+master.Addr+",slaves=2,sentinels=3") {
			return false
		}
	}
	return true
}

// Close kills all servers and removes their data.
func (s *Sentinel) Close() error { return closeAll(s.servers()) }

func (s *Sentinel) servers() []*Server {
	return append(s.Sentinels[:len(s.Sentinels):len(s.Sentinels)], s.Nodes...)
}

// Follows reports whether node is a replica of master, whose link is up.
func (s *Sentinel) Follows(node, master *Server) bool { return node.follows(master) }
