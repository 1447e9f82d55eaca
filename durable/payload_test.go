package durable_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// meter counts what connections read between two writes: the bytes of an answer.
type meter struct {
	mu      sync.Mutex
	longest int
}

// take returns how long the longest answer was since the last one.
func (m *meter) take() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.longest
	m.longest = 0
	return n
}

// metered is one connection, which one goroutine at a time uses.
type metered struct {
	net.Conn
	m   *meter
	got int
}

func (c *metered) Write(b []byte) (int, error) {
	c.got = 0
	return c.Conn.Write(b)
}

func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.got += n
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.longest = max(c.m.longest, c.got)
	return n, err
}

// measured returns a store on a server of that kind, and a meter of its answers.
func measured(t *testing.T, kind testserver.Kind) (*durable.MySQL, *meter) {
	t.Helper()
	server := testserver.Shared(t, kind)
	cfg, err := mysql.ParseDSN(server.DSN(server.Database(t)))
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &metered{Conn: c, m: m}, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return migrated(t, db), m
}

// No answer has more than task.MostBytes of payloads, except one of a single row.
func TestNoAnswerHasMoreThanSomeMiB(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, m := measured(t, kind)
		var rows []task.Row
		var ids []string
		for i := range 60 {
			size := 1 << 18
			if i == 41 {
				size = 2 << 20 // what each server takes by default
			}
			r := task.Row{Ref: task.Ref{ID: fmt.Sprint("t", i), Ver: 1}, NextMS: int64(i), Payload: make([]byte, size)}
			rows, ids = append(rows, r), append(ids, r.ID)
		}
		mustCreate(t, s, rows)
		const most = task.MostBytes + 64<<10 // with all else that rows have
		m.take()
		for name, read := range map[string]func() ([]task.Row, error){
			"Get":  func() ([]task.Row, error) { return s.Get(t.Context(), ids) },
			"Scan": func() ([]task.Row, error) { return s.Scan(t.Context(), task.Cursor{}, 1000, 1000, 16<<20) },
		} {
			rows, err := read()
			longest, whole := m.take(), 0
			if err != nil || len(rows) != len(ids) || longest > most {
				t.Errorf("%s: %d rows, %v, and an answer of %d bytes; want %d, and at most %d", name, len(rows), err, longest, len(ids), most)
			}
			for _, r := range rows {
				if r.Payload != nil {
					whole++
				}
			}
			if whole < 8 || whole > 16 {
				t.Errorf("%s: %d rows came whole, want as many as fit, 9 to 16", name, whole)
			}
		}
		if rows, err := s.Get(t.Context(), ids[41:42]); err != nil || len(rows) != 1 || len(rows[0].Payload) != 2<<20 {
			t.Errorf("Get of one row of 2 MiB: %d rows, %v", len(rows), err)
		}
	})
}

// Of rows each of which is longer than an answer of many, one comes whole, so a caller that
// asks again for the others gets on.
func TestOneOfManyLongRowsComesWhole(t *testing.T) {
	s, m := measured(t, testserver.MySQL)
	var ids []string
	for i := range 3 {
		r := task.Row{Ref: task.Ref{ID: fmt.Sprint("t", i), Ver: 1}, Payload: make([]byte, 5<<20)}
		mustCreate(t, s, []task.Row{r})
		ids = append(ids, r.ID)
	}
	m.take()
	for left := len(ids); left > 0; left-- {
		rows, err := s.Get(t.Context(), ids)
		if n := m.take(); err != nil || len(rows) != left || n > 6<<20 {
			t.Fatalf("%d rows, %v, and an answer of %d bytes; want %d, and one payload of 5 MiB", len(rows), err, n, left)
		}
		ids = nil
		for _, r := range rows {
			if r.Cut() {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) != left-1 {
			t.Fatalf("of %d rows %d were cut, want all but one", left, len(ids))
		}
	}
}
