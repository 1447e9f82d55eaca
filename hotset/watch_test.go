package hotset_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// wire is a connection that may fall silent: what its server says is not heard any more.
type wire struct {
	net.Conn
	wires *wires
	n     int
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	for w.wires.silent(w.n) && err == nil {
		n, err = w.Conn.Read(b)
	}
	return n, err
}

// wires are the connections of a client. Those that were made by a moment are silent.
type wires struct {
	mu   sync.Mutex
	made int
	mute int
}

func (w *wires) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	return &wire{c, w, w.made}, err
}

func (w *wires) silent(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return n <= w.mute
}

func (w *wires) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = w.made
}

// subscribed watches s, and waits until the subscription stands.
func subscribed(t *testing.T, s *hotset.Redis) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	wake, done := make(chan struct{}, 1), make(chan error, 1)
	go func() { done <- s.Watch(ctx, task.Watcher{Wake: wake}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	<-wake
	return wake
}

// Two durable stores share a Redis and a namespace by mistake: what holds roles for one of them holds none for the other.
func TestRolesOfAnotherStoreAreNotHeardOf(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	one := open(t, rdb, 1)
	two, err := hotset.NewRedis(rdb, hotset.Options{Namespace: one.Config().Namespace})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(one.Expect(task.Expected{Identity: "ONE", Generations: []int64{8}}), two.Expect(task.Expected{Identity: "TWO", Generations: []int64{8}}))
	if err != nil {
		t.Fatal(err)
	}
	heard := map[*hotset.Redis]chan task.Role{one: make(chan task.Role, 9), two: make(chan task.Role, 9)}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for s, c := range heard {
		wake := make(chan struct{}, 1)
		all.Go(func() {
			_ = s.Watch(ctx, task.Watcher{Wake: wake, Kept: func(roles []task.Role, _ time.Duration) { c <- roles[0] }})
		})
		<-wake
	}
	if _, err := one.Elect(t.Context(), "one", time.Minute, task.Feeder); err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard[one]:
	case <-time.After(10 * time.Second):
		t.Error("a process of the same store is not told")
	}
	if err := rdb.Del(t.Context(), "{"+one.Config().Namespace+":0}:agent").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Elect(t.Context(), "two", time.Minute, task.Auditor); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-heard[two]:
		if got != task.Auditor {
			t.Errorf("a process of the other store is told of the role %s", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("a process of the same store is not told")
	}
	cancel()
	all.Wait()
}

// A subscription whose server does not answer any more is made anew as soon as a call has
// failed: until then no worker hears of earlier tasks. By its own pauses the subscription would need 20 s.
func TestAFailedCallProvesTheSubscription(t *testing.T) {
	var w wires
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr, Dialer: w.dial, MaxRetries: -1, ReadTimeout: 200 * time.Millisecond})
	t.Cleanup(func() { rdb.Close() })
	s := open(t, rdb, 1)
	warm(t, s)
	wake := subscribed(t, s)
	w.cutOff()
	if _, err := s.State(t.Context(), 0); err == nil {
		t.Fatal("a call over a connection that is silent succeeded")
	}
	select {
	case <-wake: // which each new subscription does
	case <-time.After(9 * time.Second):
		t.Error("no new subscription in 9 s")
	}
}

// The client of a cluster learns of a failover by the first call that fails, not by the age of
// its table of slots.
func TestAFailedCallLoadsTheTableOfSlots(t *testing.T) {
	first, second := testserver.Own(t, testserver.Redis), testserver.Shared(t, testserver.Redis)
	var owner atomic.Pointer[string]
	owner.Store(&first.Addr)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{MaxRedirects: -1, ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
		return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: *owner.Load()}}}}, nil
	}})
	t.Cleanup(func() { rdb.Close() })
	s := open(t, rdb, 1)
	warm(t, s)
	owner.Store(&second.Addr)
	first.Kill()
	for end := time.Now().Add(9 * time.Second); ; <-time.After(50 * time.Millisecond) {
		_, err := s.State(t.Context(), 0)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not reached in 9 s: %v", err)
		}
	}
}

// Another generation may be on another server, while the one of before answers.
func TestANewGenerationIsSubscribedToAnew(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	expect := func(generation int64) {
		t.Helper()
		if err := s.Expect(task.Expected{Identity: "one", Generations: []int64{generation}}); err != nil {
			t.Fatal(err)
		}
	}
	expect(1)
	wake := subscribed(t, s)
	expect(1)
	select {
	case <-wake:
		t.Error("a new subscription, though nothing has changed")
	case <-time.After(300 * time.Millisecond):
	}
	expect(2)
	select {
	case <-wake:
	case <-time.After(9 * time.Second):
		t.Error("no new subscription in 9 s")
	}
}
