package doctor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/doctor"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// examined are the findings of a hot set of so many partitions.
func examined(t *testing.T, client redis.UniversalClient, partitions int) []doctor.Finding {
	t.Helper()
	set, err := hotset.NewRedis(client, hotset.Options{Namespace: "doc", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return doctor.Redis{Client: client, Set: set, HotTasks: 500_000}.Check(ctx)
}

// seen are the findings of a check, each with what was seen.
func seen(all []doctor.Finding, check string) (found []string) {
	for _, f := range all {
		if f.Check == check {
			found = append(found, f.Seen)
		}
	}
	return found
}

// eventually repeats a look until it is as it should be.
func eventually(t *testing.T, look func() []doctor.Finding, is func(map[string]doctor.Finding) bool) []doctor.Finding {
	t.Helper()
	tick, end := time.NewTicker(100*time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for {
		all := look()
		if is(statuses(all)) {
			return all
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("it does not come to that; the findings are %+v", all)
		}
	}
}

// A Redis Cluster in which each master is examined, one with fewer partitions than masters, one with a slot that no master serves, and one of which a master is away.
func TestABadClusterIsFound(t *testing.T) {
	t.Parallel()
	nodes := testserver.OwnCluster(t)
	addrs := make([]string, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.Addr
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, MaxRedirects: 1})
	defer client.Close()
	all := eventually(t, func() []doctor.Finding { return examined(t, client, 6) }, func(bad map[string]doctor.Finding) bool { return len(bad) == 0 })
	if got := seen(all, "redis.cluster"); len(got) != 1 || got[0] != "cluster_state ok, 16384 of 16384 slots served, 3 masters, 6 partitions" {
		t.Errorf("the cluster: %q", got)
	}
	roles := strings.Join(seen(all, "redis.role"), "\n")
	for _, addr := range addrs {
		if !strings.Contains(roles, addr+": master") {
			t.Errorf("master %s was not examined: %s", addr, roles)
		}
	}
	expect(t, examined(t, client, 2), map[string]doctor.Status{"redis.cluster": doctor.Warning})

	for _, n := range nodes {
		one := redis.NewClient(&redis.Options{Addr: n.Addr})
		if err := one.ClusterDelSlots(t.Context(), 7).Err(); err != nil {
			t.Fatal(err)
		}
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all = eventually(t, func() []doctor.Finding { return examined(t, client, 6) }, func(bad map[string]doctor.Finding) bool {
		return bad["redis.cluster"].Status == doctor.Error && bad["redis.rights"].Status == doctor.Error
	})
	if got := seen(all, "redis.cluster"); len(got) != 1 || !strings.HasPrefix(got[0], "cluster_state fail, 16383 of 16384 slots served") {
		t.Errorf("a cluster without a slot: %q", got)
	}
	nodes[2].Kill()
	expect(t, examined(t, client, 6), map[string]doctor.Status{"redis.reach": doctor.Error})
}

// Behind Sentinel the master is examined, also after a failover; a replica is found to be one, and a name that Sentinel does not know.
func TestABadSentinelIsFound(t *testing.T) {
	t.Parallel()
	s := testserver.OwnSentinel(t)
	client := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: s.Addrs()})
	defer client.Close()
	look := func() []doctor.Finding { return examined(t, client, 2) }
	all := look()
	expect(t, all, nil)
	if got := seen(all, "redis.role"); len(got) != 1 || got[0] != "master with 2 replicas" {
		t.Errorf("the master: %q", got)
	}
	master := s.Master()
	for _, n := range s.Nodes {
		if n == master {
			continue
		}
		replica := redis.NewClient(&redis.Options{Addr: n.Addr})
		if f := statuses(examined(t, replica, 2))["redis.role"]; f.Status != doctor.Error || !strings.Contains(f.Mend, "redis-sentinel://") {
			t.Errorf("a replica: %+v", f)
		}
		_ = replica.Close()
		break
	}
	master.Kill()
	all = eventually(t, look, func(bad map[string]doctor.Finding) bool { return len(bad) == 0 })
	if got := seen(all, "redis.role"); len(got) != 1 || !strings.HasPrefix(got[0], "master with ") {
		t.Errorf("after a failover: %q", got)
	}
	wrong := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "other", SentinelAddrs: s.Addrs(), MaxRetries: -1})
	defer wrong.Close()
	expect(t, examined(t, wrong, 2), map[string]doctor.Status{"redis.reach": doctor.Error})
}

// The primary of a group of MySQL servers is examined with the settings of the group; another member takes no writes.
func TestABadGroupIsFound(t *testing.T) {
	t.Parallel()
	g := testserver.OwnGroup(t, "--loose-group-replication-unreachable-majority-timeout=20")
	primary, err := g.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.DB(primary).ExecContext(t.Context(), "CREATE DATABASE doctor"); err != nil {
		t.Fatal(err)
	}
	on := func(i int) []doctor.Finding { return checkMySQL(t, g.Members[i].DSN("doctor"), 1, 64<<10) }
	unmigrated := map[string]doctor.Status{"mysql.schema": doctor.Error, "mysql.rights": doctor.Unread}
	all := on(primary)
	expect(t, all, unmigrated)
	if got := seen(all, "mysql.group.member"); len(got) != 1 || got[0] != "ONLINE PRIMARY" {
		t.Errorf("the primary: %q", got)
	}
	if got := seen(all, "mysql.group.mode"); len(got) != 1 || got[0] != "single-primary" {
		t.Errorf("the mode: %q", got)
	}
	other := (primary + 1) % len(g.Members)
	bad := statuses(eventually(t, func() []doctor.Finding { return on(other) }, func(bad map[string]doctor.Finding) bool { return bad["mysql.reach"].Check == "" }))
	if bad["mysql.group.member"].Status != doctor.Error || bad["mysql.writable"].Status != doctor.Error || strings.Contains(bad["mysql.writable"].Mend, "OFF") {
		t.Errorf("another member: %+v", bad)
	}
	if _, err := g.DB(primary).ExecContext(t.Context(), "SET GLOBAL group_replication_unreachable_majority_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	unmigrated["mysql.group.majority"] = doctor.Warning
	expect(t, on(primary), unmigrated)
	if _, err := g.DB(other).ExecContext(t.Context(), "STOP GROUP_REPLICATION"); err != nil {
		t.Fatal(err)
	}
	if got := seen(on(other), "mysql.group.member"); len(got) != 1 || !strings.HasPrefix(got[0], "OFFLINE") {
		t.Errorf("a member that has left: %q", got)
	}
}
