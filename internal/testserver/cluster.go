package testserver

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	clusterSlots   = 16384
	clusterMasters = 3 // the fewest that a cluster takes
)

// nodeTimeout is after how long of silence the nodes of a Cluster hold one for down.
// (Redis's default is 15 s.)
const nodeTimeout = 2 * time.Second

// Cluster is a Redis Cluster of three masters, each with one replica or none.
type Cluster struct {
	Nodes []*Server // masters first, then their replicas
	bus   []string  // their second ports
}

// StartCluster starts a Cluster of six: three masters with a third of the slots each, and
// a replica of each. It returns once the replicas follow their masters and all nodes know of
// all. Each node begins with a configuration epoch of its own, as those of redis-cli --cluster
// create do: nodes that begin with the same one settle that among themselves later, and a
// replica whose master dies meanwhile may be refused by all voters for ever. Close it.
func StartCluster(ctx context.Context) (*Cluster, error) { return startCluster(ctx, 2*clusterMasters) }

func startCluster(ctx context.Context, nodes int) (*Cluster, error) {
	c := &Cluster{}
	if err := c.start(ctx, nodes); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("start a Redis Cluster: %w", err)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, nodes int) error {
	for range nodes {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		_, bus, _ := net.SplitHostPort(addr)
		node, err := Start(ctx, Redis, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", fmt.Sprint(nodeTimeout.Milliseconds()), "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
			"--cluster-replica-validity-factor", "0") // else a replica never stands for election again once a busy machine has delayed it by 23 s
		if err != nil {
			return err
		}
		c.Nodes, c.bus = append(c.Nodes, node), append(c.bus, bus)
	}
	for i := range c.Nodes { // all, before the first two meet
		if err := c.Nodes[i].order(fmt.Sprintf("CLUSTER SET-CONFIG-EPOCH %d", i+1)); err != nil {
			return err
		}
	}
	for i := range c.Nodes {
		if err := c.join(i); err != nil {
			return err
		}
	}
	if err := soon(ctx, "each node's list of nodes", func() bool { return c.all((*Server).clustered) }); err != nil {
		return err
	}
	for i, s := range c.Nodes[clusterMasters:] {
		id, err := c.Nodes[i].ask("CLUSTER MYID")
		if err != nil {
			return err
		}
		if err := s.order("CLUSTER REPLICATE " + id); err != nil {
			return err
		}
	}
	return c.Ready(ctx)
}

// join makes a node meet the first one, and gives a master its slots.
func (c *Cluster) join(i int) error {
	if i < clusterMasters {
		first, last := i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1
		if err := c.Nodes[i].order(fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", first, last)); err != nil {
			return err
		}
	}
	host, port, _ := net.SplitHostPort(c.Nodes[0].Addr)
	return c.Nodes[i].order(fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, c.bus[0]))
}

// all reports whether something is so of each node, of as many as there are.
func (c *Cluster) all(is func(s *Server, nodes int) bool) bool {
	for _, s := range c.Nodes {
		if !is(s, len(c.Nodes)) {
			return false
		}
	}
	return true
}

// OwnCluster starts a Redis Cluster of three masters for one test alone, and
// returns its nodes.
func OwnCluster(t testing.TB) []*Server {
	t.Helper()
	return ownCluster(t, clusterMasters).Nodes
}

// OwnClusterOfSix starts a Cluster of six for one test alone, which may break it.
func OwnClusterOfSix(t testing.TB) *Cluster {
	t.Helper()
	return ownCluster(t, 2*clusterMasters)
}

func ownCluster(t testing.TB, nodes int) *Cluster {
	t.Helper()
	c, err := startCluster(t.Context(), nodes)
	if err != nil {
		t.Fatalf("no Redis Cluster can be had: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() []string { return addrs(c.Nodes) }

// Masters are the nodes that say that they are masters and have slots. Two of them may be
// the masters of the same slots while a failover is under way.
func (c *Cluster) Masters() (all []*Server) {
	for _, s := range c.Nodes {
		if line := s.myself(); strings.Contains(line, "master") && strings.Contains(line, "-") {
			all = append(all, s)
		}
	}
	return all
}

// myself is what a node says of itself: flags, and after it connected the slots.
func (s *Server) myself() string {
	nodes, _ := s.ask("CLUSTER NODES")
	for line := range strings.Lines(nodes) {
		f := strings.Fields(line)
		if len(f) >= 8 && strings.Contains(f[2], "myself") {
			return f[2] + " " + strings.Join(f[8:], " ")
		}
	}
	return ""
}

// Replica is a node that follows node; nil if none does.
func (c *Cluster) Replica(node *Server) *Server { return replica(c.Nodes, node) }

// Ready returns once all nodes are up and know of all, and, of six, each of three masters
// has a replica that follows it.
func (c *Cluster) Ready(ctx context.Context) error {
	return soon(ctx, "the Redis Cluster", func() bool {
		if !c.all((*Server).clustered) || len(c.Masters()) != clusterMasters {
			return false
		}
		for _, m := range c.Masters() {
			if len(c.Nodes) > clusterMasters && c.Replica(m) == nil {
				return false
			}
		}
		return true
	})
}

// Close kills all nodes and removes their data.
func (c *Cluster) Close() error { return closeAll(c.Nodes) }

// order is ask for a command that answers OK.
func (s *Server) order(command string) error {
	answer, err := s.ask(command)
	if err == nil && answer != "+OK" {
		err = fmt.Errorf("it answers %q", answer)
	}
	if err != nil {
		return fmt.Errorf("%s at %s: %w", command, s.Addr, err)
	}
	return nil
}

// clustered reports whether s sees a whole cluster of n nodes, all of which it reaches.
func (s *Server) clustered(n int) bool {
	info, err := s.ask("CLUSTER INFO")
	if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", n)) {
		return false
	}
	nodes, err := s.ask("CLUSTER NODES")
	return err == nil && !strings.Contains(nodes, "fail") && !strings.Contains(nodes, "handshake") && !strings.Contains(nodes, "disconnected")
}
