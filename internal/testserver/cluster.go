package testserver

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	clusterSlots = 16384
	clusterNodes = 3 // the fewest that a cluster of masters takes
)

// OwnCluster starts a Redis Cluster of three masters for one test alone, and
// returns its nodes.
func OwnCluster(t testing.TB) []*Server {
	t.Helper()
	nodes := make([]*Server, clusterNodes)
	bus := make([]string, clusterNodes)
	for i := range nodes {
		addr, err := freeAddr()
		if err != nil {
			t.Fatal(err)
		}
		_, bus[i], _ = net.SplitHostPort(addr)
		nodes[i] = Own(t, Redis, "--cluster-enabled", "yes", "--cluster-port", bus[i], "--cluster-config-file", "nodes.conf")
	}
	if err := join(t.Context(), nodes, bus); err != nil {
		t.Fatalf("no Redis Cluster can be had: %v", err)
	}
	return nodes
}

// join makes nodes one cluster, each with its share of the slots.
func join(ctx context.Context, nodes []*Server, bus []string) error {
	for i, s := range nodes {
		first, last := i*clusterSlots/len(nodes), (i+1)*clusterSlots/len(nodes)-1
		if err := s.order(fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", first, last)); err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(nodes[0].Addr)
		if err := s.order(fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, bus[0])); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, s := range nodes {
		for !s.clustered(len(nodes)) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("node %s of the cluster: %w: %s", s.Addr, ctx.Err(), tail(filepath.Join(s.dir, "log")))
			}
		}
	}
	return nil
}

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

// clustered reports whether s sees a whole cluster of n nodes.
func (s *Server) clustered(n int) bool {
	info, err := s.ask("CLUSTER INFO")
	return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n))
}
