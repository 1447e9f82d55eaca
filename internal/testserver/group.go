package testserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	groupMembers = 3
	groupName    = "5f3b9c1e-7a42-4d0b-9a6e-2c1d8e4f7b30"
	groupAsk     = 2 * time.Second  // one question to a member
	groupJoin    = 10 * time.Minute // the member applies what it has missed, beside others that work
)

// Group is a MySQL group (Group Replication) of three members on loopback, with one
// primary. A member is stopped, booted and paused by its Server's methods, and comes back
// into the group with Rejoin. The methods of Group may be called while others do so.
type Group struct {
	Members []*Server // the first was the primary when they began
	dbs     []*sql.DB // of the members, as root
}

// OwnGroup starts a group for one test alone. Args are appended to each member's command line.
func OwnGroup(t testing.TB, args ...string) *Group {
	t.Helper()
	g, err := StartGroup(context.Background(), args...)
	if err != nil {
		t.Fatalf("no group of MySQL servers can be had: %v", err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("close the group: %v", err)
		}
	})
	return g
}

// StartGroup starts a group, whose first member is the primary. Close it.
func StartGroup(ctx context.Context, args ...string) (g *Group, err error) {
	for range 3 { // a port that is found free is taken a minute later, and another server may have been quicker
		if g, err = startGroup(ctx, args); err == nil || !strings.Contains(err.Error(), "Port already in use") {
			break
		}
	}
	return g, err
}

func startGroup(ctx context.Context, args []string) (*Group, error) {
	local := make([]string, groupMembers)
	for i := range local {
		var err error
		if local[i], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	g := &Group{Members: make([]*Server, groupMembers), dbs: make([]*sql.DB, groupMembers)}
	errs := make([]error, groupMembers)
	var all sync.WaitGroup
	for i := range g.Members {
		all.Go(func() { errs[i] = g.bring(ctx, i, local, args) })
	}
	all.Wait()
	err := errors.Join(errs...)
	for i := 0; i < groupMembers && err == nil; i++ {
		err = g.enter(ctx, i, i == 0)
	}
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// bring starts member i, which is in no group yet.
func (g *Group) bring(ctx context.Context, i int, local, args []string) error {
	own := append([]string{
		fmt.Sprintf("--server-id=%d", i+1), "--report-host=127.0.0.1", "--plugin-load-add=group_replication.so", "--innodb-buffer-pool-size=128M",
		"--loose-group-replication-group-name=" + groupName, "--loose-group-replication-start-on-boot=OFF",
		"--loose-group-replication-local-address=" + local[i], "--loose-group-replication-group-seeds=" + strings.Join(local, ","),
	}, args...)
	s, err := Start(ctx, MySQL, own...)
	if err != nil {
		return err
	}
	g.Members[i] = s
	if g.dbs[i], err = sql.Open("mysql", s.DSN("")+"?timeout=1s"); err != nil {
		return fmt.Errorf("open member %d: %w", i+1, err)
	}
	return g.order(ctx, i, "CHANGE REPLICATION SOURCE TO SOURCE_USER = 'root', SOURCE_PASSWORD = '' FOR CHANNEL 'group_replication_recovery'")
}

// enter has member i, which runs, enter the group, or found it, and returns once it is ONLINE there.
func (g *Group) enter(ctx context.Context, i int, found bool) error {
	ctx, cancel := context.WithTimeout(ctx, groupJoin)
	defer cancel()
	stmts := []string{"START GROUP_REPLICATION"}
	if found {
		stmts = []string{"SET GLOBAL group_replication_bootstrap_group = ON", stmts[0], "SET GLOBAL group_replication_bootstrap_group = OFF"}
	}
	for _, stmt := range stmts {
		if err := g.order(ctx, i, stmt); err != nil {
			return fmt.Errorf("%w: %s", err, tail(filepath.Join(g.Members[i].dir, "log")))
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for g.State(ctx, i) != "ONLINE" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("member %d is %q: %w: %s", i+1, g.State(context.Background(), i), ctx.Err(), tail(filepath.Join(g.Members[i].dir, "log")))
		}
	}
	return nil
}

// Rejoin brings all members back into the group: those that are down are booted, and those
// that are not in it enter. A majority must run.
func (g *Group) Rejoin(ctx context.Context) error {
	for _, s := range g.Members {
		var err error
		for range 3 { // a busy machine may take longer for it than a server has
			if s.PID() != 0 {
				break
			}
			err = s.Boot(ctx)
		}
		if s.PID() == 0 {
			return err
		}
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := g.Primary(ctx)
		if err == nil && g.online(ctx, p) == len(g.Members) {
			return nil
		}
		for i := range g.Members {
			if state := g.State(ctx, i); err == nil && (state == "OFFLINE" || state == "ERROR") {
				if err := errors.Join(g.order(ctx, i, "STOP GROUP_REPLICATION"), g.enter(ctx, i, false), g.order(ctx, i, "SET GLOBAL offline_mode = OFF")); err != nil {
					return err
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("rejoin: %w: the members are %q, %q, %q; %w", ctx.Err(), g.State(context.Background(), 0), g.State(context.Background(), 1),
				g.State(context.Background(), 2), err)
		}
	}
}

// online is how many members are ONLINE, as member i sees it.
func (g *Group) online(ctx context.Context, i int) (n int) {
	ctx, cancel := context.WithTimeout(ctx, groupAsk)
	defer cancel()
	_ = g.dbs[i].QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'").Scan(&n)
	return n
}

// State is what member i calls itself (ONLINE, RECOVERING, ERROR, OFFLINE); empty if it does not answer.
func (g *Group) State(ctx context.Context, i int) string {
	ctx, cancel := context.WithTimeout(ctx, groupAsk)
	defer cancel()
	var state string
	_ = g.dbs[i].QueryRowContext(ctx, "SELECT MEMBER_STATE FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid").Scan(&state)
	return state
}

// Primary is the number of the member that a majority calls its primary. A member that
// was deposed and does not know it has only its own vote.
func (g *Group) Primary(ctx context.Context) (int, error) {
	votes := make([]int, len(g.Members))
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range g.Members {
		all.Go(func() {
			addr := g.names(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			for k, s := range g.Members {
				if s.Addr == addr {
					votes[k]++
				}
			}
		})
	}
	all.Wait()
	for i, n := range votes {
		if 2*n > len(votes) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no member has a majority as its primary: %v of %d votes", votes, len(votes))
}

// names is the address of what member i takes for the primary; empty if it does not answer or
// is not ONLINE itself.
func (g *Group) names(ctx context.Context, i int) string {
	ctx, cancel := context.WithTimeout(ctx, groupAsk)
	defer cancel()
	var host, port string
	_ = g.dbs[i].QueryRowContext(ctx, "SELECT p.MEMBER_HOST, p.MEMBER_PORT FROM performance_schema.replication_group_members p"+
		" JOIN performance_schema.replication_group_members m ON m.MEMBER_ID = @@server_uuid AND m.MEMBER_STATE = 'ONLINE'"+
		" WHERE p.MEMBER_ROLE = 'PRIMARY' AND p.MEMBER_STATE = 'ONLINE'").Scan(&host, &port)
	return net.JoinHostPort(host, port)
}

// DB is member i's, as root.
func (g *Group) DB(i int) *sql.DB { return g.dbs[i] }

func (g *Group) order(ctx context.Context, i int, stmt string) error {
	ctx, cancel := context.WithTimeout(ctx, groupJoin)
	defer cancel()
	if _, err := g.dbs[i].ExecContext(ctx, stmt); err != nil {
		return fmt.Errorf("%s at member %d: %w", stmt, i+1, err)
	}
	return nil
}

// Close kills the members and removes their data.
func (g *Group) Close() error {
	var errs []error
	for i, s := range g.Members {
		if g.dbs[i] != nil {
			errs = append(errs, g.dbs[i].Close())
		}
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}
