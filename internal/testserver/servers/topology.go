package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// runOn brings a Redis of that topology and a MySQL, or the other way round for a group, says on
// standard error where they are, and runs the command.
func runOn(ctx context.Context, topology string, args []string) (int, error) {
	bring := map[string]func(context.Context) (servers, string, error){"sentinel": bringSentinel, "cluster": bringCluster, "group": bringGroup}[topology]
	if bring == nil || len(args) == 0 {
		return 2, errUsage
	}
	s, env, err := bring(ctx)
	if err != nil {
		return 1, err
	}
	defer func() { _ = s.Close() }()
	kind := testserver.MySQL
	if topology == "group" {
		kind = testserver.Redis
	}
	single, err := testserver.Bring(ctx, kind)
	if err != nil {
		return 1, err
	}
	defer func() { _ = single.Close() }()
	all := []string{kind.Env() + "=" + single.Export(), env}
	fmt.Fprintln(os.Stderr, strings.Join(all, "\n"))
	return command(ctx, args, all)
}

// servers are those of a topology.
type servers interface{ Close() error }

func bringSentinel(ctx context.Context) (servers, string, error) {
	s, err := testserver.StartSentinel(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, node := range s.Nodes {
		fmt.Fprintf(os.Stderr, "node %s pid %d\n", node.Addr, node.PID())
	}
	for _, node := range s.Sentinels {
		fmt.Fprintf(os.Stderr, "sentinel %s pid %d\n", node.Addr, node.PID())
	}
	return s, "TRIGGERHOOK_SENTINELS=" + strings.Join(s.Addrs(), ","), nil
}

func bringCluster(ctx context.Context) (servers, string, error) {
	c, err := testserver.StartCluster(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, node := range c.Nodes {
		fmt.Fprintf(os.Stderr, "node %s pid %d\n", node.Addr, node.PID())
	}
	return c, "TRIGGERHOOK_CLUSTER=" + strings.Join(c.Addrs(), ","), nil
}

// bringGroup names the members, the first of which is the primary at first. Root has no password.
func bringGroup(ctx context.Context) (servers, string, error) {
	g, err := testserver.StartGroup(ctx)
	if err != nil {
		return nil, "", err
	}
	var addrs []string
	for _, member := range g.Members {
		fmt.Fprintf(os.Stderr, "member %s pid %d\n", member.Addr, member.PID())
		addrs = append(addrs, member.Addr)
	}
	return g, "TRIGGERHOOK_GROUP=" + strings.Join(addrs, ","), nil
}
