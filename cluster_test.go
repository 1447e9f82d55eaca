package triggerhook_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// slotMove moves a slot of a Redis Cluster from one node to another, as an operator does
// that adds a node.
type slotMove struct {
	t        *testing.T
	slot     int64
	from, to *redis.Client
	all      []*redis.Client
}

// newSlotMove prepares to move the slot that key lies in.
func newSlotMove(t *testing.T, rdb *redis.ClusterClient, nodes []*testserver.Server, key string) *slotMove {
	t.Helper()
	m := &slotMove{t: t, slot: rdb.ClusterKeySlot(t.Context(), key).Val()}
	owner, err := rdb.MasterForKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		c := redis.NewClient(&redis.Options{Addr: node.Addr})
		t.Cleanup(func() { c.Close() })
		m.all = append(m.all, c)
		if node.Addr == owner.Options().Addr {
			m.from = c
		} else {
			m.to = c
		}
	}
	return m
}

// do has a node run a command.
func (m *slotMove) do(node *redis.Client, args ...any) any {
	m.t.Helper()
	answer, err := node.Do(m.t.Context(), args...).Result()
	if err != nil {
		m.t.Fatalf("%v at %s: %v", args, node.Options().Addr, err)
	}
	return answer
}

// begin tells both nodes.
func (m *slotMove) begin() {
	m.do(m.to, "CLUSTER", "SETSLOT", m.slot, "IMPORTING", m.do(m.from, "CLUSTER", "MYID"))
	m.do(m.from, "CLUSTER", "SETSLOT", m.slot, "MIGRATING", m.do(m.to, "CLUSTER", "MYID"))
}

// keys moves all keys but the one that is left. One that is gone by then is no error: MIGRATE
// answers NOKEY.
func (m *slotMove) keys(left string) {
	host, port, _ := net.SplitHostPort(m.to.Options().Addr)
	for _, key := range m.do(m.from, "CLUSTER", "GETKEYSINSLOT", m.slot, 1<<10).([]any) {
		if key != left {
			m.do(m.from, "MIGRATE", host, port, key, 0, 5000)
		}
	}
}

// end gives the slot to its new node.
func (m *slotMove) end() {
	for _, node := range m.all {
		m.do(node, "CLUSTER", "SETSLOT", m.slot, "NODE", m.do(m.to, "CLUSTER", "MYID"))
	}
}

// A slot moves, and some of its keys lie on one node and some on the other for longer than a
// lease. No script can run in its partition meanwhile. What is confirmed then is not delivered
// again, and all that was held up is delivered once the slot has moved.
func TestASlotThatMovesLosesNoTaskAndRepeatsNone(t *testing.T) {
	t.Parallel()
	nodes := testserver.OwnCluster(t)
	o := &redis.ClusterOptions{}
	for _, node := range nodes {
		o.Addrs = append(o.Addrs, node.Addr)
	}
	rdb := redis.NewClusterClient(o)
	t.Cleanup(func() { rdb.Close() })
	s := onRedis(t, testserver.Shared(t, testserver.MySQL), rdb, 1)
	const lease = 2 * time.Second
	sch := s.scheduler(t, triggerhook.Options{Lease: lease})
	run(t, sch)
	const n, held = 500, 5
	start := time.Now()
	if err := sch.Create(t.Context(), tasks(n, func(i int) time.Time { return start.Add(time.Duration(i) * 20 * time.Millisecond) })...); err != nil {
		t.Fatal(err)
	}
	var l ledger
	var inHand []*triggerhook.Delivery
	for range held {
		inHand = append(inHand, next(t, sch))
		l.note(inHand[len(inHand)-1])
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	consumed := l.consume(ctx, t, sch, 20) // a Confirm after a second delivery is an error
	until(t, "tasks fire", 30*time.Second, func() bool { return l.len() > 2*held })

	tag := "{" + s.store.Namespace() + ":0}"
	move := newSlotMove(t, rdb, nodes, tag)
	move.begin()
	move.keys(tag + ":waiting")
	sleep(t, lease+lease/2)
	for _, d := range inHand {
		if err := d.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm of %s while the slot moves: %v", d.ID, err)
		}
	}
	move.keys("")
	move.end()
	until(t, "all have fired", 60*time.Second, func() bool { return l.len() == n })
	cancel()
	consumed.Wait()
	empty(t, s)
	for id, times := range l.times {
		if times != 1 {
			t.Errorf("%s was delivered %d times", id, times)
		}
	}
	st, err := sch.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if other := st.Process.Errors["other"]; other > 0 || st.Process.Errors["unavailable"] == 0 {
		t.Errorf("errors %v, want some of kind unavailable, and none of kind other", st.Process.Errors)
	}
	t.Logf("worst lateness %s; leases lost %d, rebuilds %d, errors %v", l.worst, st.Process.LeasesLost, st.Process.Rebuilds, st.Process.Errors)
}
