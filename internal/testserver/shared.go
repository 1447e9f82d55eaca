package testserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// Env is the variable that names a running server of kind k: a DSN for MySQL, an
// address for all others. Of these only the main two are for users.
func (k Kind) Env() string {
	switch k {
	case MySQL:
		return "TRIGGERHOOK_TEST_MYSQL"
	case Redis:
		return "TRIGGERHOOK_TEST_REDIS"
	}
	return "TRIGGERHOOK_TEST_" + strings.ToUpper(strings.ReplaceAll(string(k), "-", "_"))
}

// Export is the value that Env is to have for others to use s.
func (s *Server) Export() string {
	if s.Kind == MySQL || s.dsn != "" {
		return s.DSN("")
	}
	return s.Addr
}

// External returns the server that the environment names, or nil. One that is
// named but does not answer is an error. Its Kind is what it greets as: a MariaDB may
// stand for MySQL, which TRIGGERHOOK_TEST_MYSQL names.
func External(kind Kind) (*Server, error) {
	v := os.Getenv(kind.Env())
	if v == "" {
		return nil, nil
	}
	s := &Server{Kind: kind, Addr: v}
	if kind == MySQL {
		cfg, err := mysql.ParseDSN(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.Env(), err)
		}
		if cfg.Net != "tcp" {
			return nil, fmt.Errorf("%s: a DSN with tcp(host:port) is needed, not %s", kind.Env(), cfg.Net)
		}
		s.Addr, s.dsn = cfg.Addr, v
	}
	_, err := s.Version()
	if err == nil && kind == MySQL {
		s.Kind, err = s.greets()
	}
	if err != nil {
		return nil, fmt.Errorf("%s names a server that does not answer: %w", kind.Env(), err)
	}
	return s, nil
}

// Bring returns a server of that kind: the one that the
// environment names, else a container if a Docker engine answers (main kinds
// only), else a private one.
func Bring(ctx context.Context, kind Kind) (*Server, error) {
	if s, err := External(kind); s != nil || err != nil {
		return s, err
	}
	if kind == MySQL || kind == Redis {
		if s := container(ctx, kind); s != nil {
			return s, nil
		}
	}
	return Start(ctx, kind)
}

var shared = struct {
	sync.Mutex
	servers  map[Kind]*Server
	sentinel *Sentinel
	cluster  *Cluster
}{servers: map[Kind]*Server{}}

// Shared returns the one server of that kind that the tests of this process
// share; it ends with the process, and its data with Closing. Tests do not stop it,
// nor change its settings. Where none can be had the test fails.
func Shared(t testing.TB, kind Kind) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if s := shared.servers[kind]; s != nil {
		return s
	}
	s, err := Bring(context.Background(), kind)
	if err != nil {
		t.Fatalf("no %s server can be had: %v", kind, err)
	}
	shared.servers[kind] = s
	return s
}

// SharedSentinel returns the one Sentinel that the tests of this process share, as Shared
// does.
func SharedSentinel(t testing.TB) *Sentinel {
	t.Helper()
	return sharedOne(t, &shared.sentinel, "Redis with Sentinel", StartSentinel)
}

// SharedCluster returns the one Cluster of six that the tests of this process share, as
// Shared does.
func SharedCluster(t testing.TB) *Cluster {
	t.Helper()
	return sharedOne(t, &shared.cluster, "Redis Cluster", StartCluster)
}

// sharedOne returns what place has, which start starts if need be.
func sharedOne[S any](t testing.TB, place **S, what string, start func(context.Context) (*S, error)) *S {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if *place == nil {
		s, err := start(context.Background())
		if err != nil {
			t.Fatalf("no %s can be had: %v", what, err)
		}
		*place = s
	}
	return *place
}

// Closing returns a runner of m's tests that afterwards removes the data of the
// servers that they shared, which otherwise stays until another process starts a
// server:
//
//	func TestMain(m *testing.M) {
//		goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines))
//	}
func Closing(m interface{ Run() int }) interface{ Run() int } { return closing{m} }

type closing struct{ tests interface{ Run() int } }

// Run runs the tests, and then closes the shared servers.
func (c closing) Run() int {
	code := c.tests.Run()
	shared.Lock()
	defer shared.Unlock()
	for kind, s := range shared.servers {
		if err := s.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "close %s: %v\n", kind, err)
			code = max(code, 1)
		}
		delete(shared.servers, kind)
	}
	if shared.sentinel != nil {
		_ = shared.sentinel.Close()
		shared.sentinel = nil
	}
	if shared.cluster != nil {
		_ = shared.cluster.Close()
		shared.cluster = nil
	}
	return code
}

// Own starts a server for one test alone, which may stop and restart it.
func Own(t testing.TB, kind Kind, args ...string) *Server {
	t.Helper()
	s, err := Start(context.Background(), kind, args...)
	if err != nil {
		t.Fatalf("no %s server can be had: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close %s: %v", kind, err)
		}
	})
	return s
}

// DSN returns the data source name of a database on a MySQL server.
func (s *Server) DSN(database string) string {
	cfg := mysql.NewConfig()
	if s.dsn != "" {
		cfg, _ = mysql.ParseDSN(s.dsn) // External has parsed it before
	} else {
		cfg.User, cfg.Net, cfg.Addr = "root", "tcp", s.Addr
	}
	cfg.DBName = database
	return cfg.FormatDSN()
}

// Database makes an empty database for one test and returns its name; it is
// dropped at the test's end.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "th_" + strings.ToLower(rand.Text()[:16])
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatalf("open %s: %v", s.Kind, err)
	}
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("create database on %s: %v", s.Kind, err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("DROP DATABASE " + name); err != nil && s.answers() { // a test may have stopped it
			t.Errorf("drop database on %s: %v", s.Kind, err)
		}
		db.Close()
	})
	return name
}

// DB opens a database of its own on s for one test; params are appended to the DSN.
func (s *Server) DB(t testing.TB, params string) *sql.DB {
	t.Helper()
	dsn := s.DSN(s.Database(t))
	if params != "" {
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		dsn += sep + params
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatalf("open %s: %v", s.Kind, err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
