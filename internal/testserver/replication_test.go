package testserver

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A master that is killed has a successor, and comes back as its replica.
func TestSentinelPromotesAReplica(t *testing.T) {
	t.Parallel()
	s := OwnSentinel(t)
	old := s.Master()
	if old != s.Nodes[0] || s.Replica(old) == nil {
		t.Fatalf("the master is not the first of %v, or has no replica", s.Nodes)
	}
	if err := old.order("SET k v"); err != nil {
		t.Fatal(err)
	}
	old.Kill()
	if err := soon(t.Context(), "another master", func() bool { m := s.Master(); return m != nil && m != old }); err != nil {
		t.Fatal(err)
	}
	if err := old.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Master().ask("GET k"); v != "v" || s.Master() == old || !old.follows(s.Master()) {
		t.Errorf("the new master has %q, %v", v, err)
	}
}

// A master that is killed has a successor, and comes back as its replica; a failover that is
// ordered changes their parts again.
func TestAClusterOfSixPromotesAReplica(t *testing.T) {
	t.Parallel()
	c := OwnClusterOfSix(t)
	if n := len(c.Masters()); n != clusterMasters {
		t.Fatalf("%d masters", n)
	}
	old := c.Masters()[1]
	heir := c.Replica(old)
	old.Kill()
	promoted := func() bool { return strings.HasPrefix(heir.myself(), "myself,master ") }
	if err := soon(t.Context(), "another master", promoted); err != nil {
		t.Fatal(err)
	}
	if err := old.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := soon(t.Context(), "a replica", func() bool { return old.follows(heir) }); err != nil {
		t.Fatalf("%v: it is %q, want a replica of %s", err, old.myself(), heir.Addr)
	}
	swapped := func() bool { return heir.follows(old) }
	ordered := func() bool { // an order that is not carried out within 5 s is forgotten
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		return swapped() || old.order("CLUSTER FAILOVER") == nil && soon(ctx, "it", swapped) == nil
	}
	if err := soon(t.Context(), "the failover", ordered); err != nil {
		t.Fatal(err)
	}
}
