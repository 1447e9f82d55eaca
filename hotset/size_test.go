package hotset_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// meter counts what a client's connections write between two reads: the bytes of a call.
type meter struct {
	mu    sync.Mutex
	large []int // of calls of more than 64 KiB, whatever they say
}

func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &metered{Conn: c, m: m}, err
}

// take returns what was counted since the last one.
func (m *meter) take() (large []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	large, m.large = m.large, nil
	return large
}

// metered is one connection. go-redis has one goroutine at a time use it.
type metered struct {
	net.Conn
	m       *meter
	written int
}

func (c *metered) Write(b []byte) (int, error) {
	c.written += len(b)
	return c.Conn.Write(b)
}

func (c *metered) Read(b []byte) (int, error) {
	if c.written > 64<<10 {
		c.m.mu.Lock()
		c.m.large = append(c.m.large, c.written)
		c.m.mu.Unlock()
	}
	c.written = 0
	return c.Conn.Read(b)
}

// Whatever payloads are to be held inline, no call sends more than task.MostBytes, unless it
// has one member alone: each verb that sends payloads is cut, and takes in all of them.
func TestNoCallSendsMoreThanSomeMiB(t *testing.T) {
	lengths := make([]int, 60)
	for i := range lengths {
		lengths[i] = 1 << 20 / 2
	}
	lengths[7], lengths[30], lengths[31] = 6<<20, 1, 3<<20
	entries := sized(lengths...)
	for name, send := range map[string]func(s setOf, f task.PartitionStatus) error{
		"Feed": func(s setOf, f task.PartitionStatus) error {
			got, err := s.Feed(t.Context(), 0, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Entries: entries, Loaded: task.Cursor{NextMS: 1000}})
			if got.Taken != len(entries) || got.Loaded.NextMS != 1000 {
				t.Errorf("Feed took %d of %d entries and loaded up to %d, want all up to 1000", got.Taken, len(entries), got.Loaded.NextMS)
			}
			return err
		},
		"Add": func(s setOf, f task.PartitionStatus) error {
			got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: entries})
			return answered(t, got, err, task.AddTaken, len(entries))
		},
		"Add to a batch": func(s setOf, f task.PartitionStatus) error {
			got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: entries, Token: "t", Lease: time.Minute})
			return answered(t, got, err, task.AddClaimed, len(entries))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meter{}
			rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr, Dialer: m.dial})
			t.Cleanup(func() { rdb.Close() })
			s := open(t, rdb, 1)
			f := warm(t, s)
			defer rdb.Del(t.Context(), key(s, "task"))
			m.take()
			if err := send(s, f); err != nil {
				t.Fatal(err)
			}
			calls, alone := m.take(), 0
			for _, n := range calls {
				if n > 6<<20 {
					alone++
				} else if n > task.MostBytes+16<<10 { // with the script's name and what frames its arguments
					t.Errorf("a call sent %d bytes, want at most %d", n, task.MostBytes)
				}
			}
			if alone != 1 || len(calls) < 10 || len(calls) > 14 { // 37.5 MiB, and perhaps one call more that loads the script
				t.Errorf("%d calls sent %d bytes, %d of them the 6 MiB that go alone; want 10 or 11, and 1", len(calls), calls, alone)
			}
			if st, err := s.State(t.Context(), 0); err != nil || st.Waiting+st.Claimed != int64(len(entries)) {
				t.Errorf("%d members wait and %d are claimed, %v; want %d in all", st.Waiting, st.Claimed, err, len(entries))
			}
		})
	}
}

// setOf is what the cases send with.
type setOf interface {
	Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error)
	Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error)
}

func answered(t *testing.T, got []task.AddOutcome, err error, want task.AddOutcome, n int) error {
	t.Helper()
	if len(got) != n {
		t.Errorf("%d answers, want %d", len(got), n)
	}
	for i, a := range got {
		if a != want {
			t.Errorf("answer %d is %d, want %d", i, a, want)
		}
	}
	return err
}

// Small members go a thousand at a time, as before.
func TestSmallMembersAreSentAThousandAtATime(t *testing.T) {
	m := &meter{}
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr, Dialer: m.dial})
	defer rdb.Close()
	s := open(t, rdb, 1)
	f := warm(t, s)
	lengths := make([]int, 2500)
	for i := range lengths {
		lengths[i] = 1 << 10
	}
	m.take()
	add(t, s, f, sized(lengths...))
	if calls := m.take(); len(calls) != 3 {
		t.Errorf("%d calls for 2500 members with the default's longest inline payload, want 3", len(calls))
	}
}

// Headers count as bytes of a call, as payloads do.
func TestHeadersCountAsBytesOfACall(t *testing.T) {
	m := &meter{}
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr, Dialer: m.dial})
	defer rdb.Close()
	s := open(t, rdb, 1)
	f := warm(t, s)
	entries := sized(make([]int, 1000)...)
	for i := range entries {
		entries[i].Headers = strings.Repeat("h", task.MaxHeaders)
	}
	m.take()
	add(t, s, f, entries)
	calls := m.take()
	for _, n := range calls {
		if n > task.MostBytes+16<<10 {
			t.Errorf("a call sent %d bytes, want at most %d", n, task.MostBytes)
		}
	}
	if len(calls) != 2 && len(calls) != 3 { // 8 MiB
		t.Errorf("%d calls for 1000 members with 8 KiB of headers, want 2 or 3", len(calls))
	}
}
