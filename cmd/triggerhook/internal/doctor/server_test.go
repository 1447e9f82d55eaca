package doctor_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/doctor"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Closing(m).Run()) }

// statuses are those findings that are not ok, by their checks.
func statuses(all []doctor.Finding) map[string]doctor.Finding {
	found := map[string]doctor.Finding{}
	for _, f := range all {
		if f.Status != doctor.OK {
			found[f.Check] = f
		}
	}
	return found
}

// expect fails the test unless exactly the checks named are not ok, with these statuses.
func expect(t *testing.T, all []doctor.Finding, want map[string]doctor.Status) {
	t.Helper()
	found := statuses(all)
	for check, f := range found {
		if want[check] != f.Status {
			t.Errorf("%+v, want status %q", f, want[check])
		}
	}
	for check, status := range want {
		if _, is := found[check]; !is {
			t.Errorf("no finding of %s, want %s", check, status)
		}
	}
}

func start(t *testing.T, kind testserver.Kind, args ...string) *testserver.Server {
	t.Helper()
	s, err := testserver.Start(t.Context(), kind, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func checkMySQL(t *testing.T, dsn string, partitions, payload int) []doctor.Finding {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := durable.NewMySQL(db, durable.Options{Namespace: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	return doctor.MySQL{DB: db, Store: store, Partitions: partitions, MaxPayload: payload}.Check(t.Context())
}

// A MySQL with settings that lose commits, before and after Migrate, as root and as a user with too few rights.
func TestABadMySQLIsFound(t *testing.T) {
	t.Parallel()
	server := start(t, testserver.MySQL, "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--max-allowed-packet=65536")
	dsn := server.DSN(server.Database(t))
	const payload = 64 << 10
	bad := map[string]doctor.Status{"mysql.flush": doctor.Warning, "mysql.binlog": doctor.Warning, "mysql.packet": doctor.Error,
		"mysql.schema": doctor.Error, "mysql.rights": doctor.Unread}
	expect(t, checkMySQL(t, dsn, 1, payload), bad)

	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := durable.NewMySQL(db, durable.Options{Namespace: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	delete(bad, "mysql.schema")
	delete(bad, "mysql.rights")
	expect(t, checkMySQL(t, dsn, 2, payload), bad)
	bad["mysql.records"] = doctor.Error
	expect(t, checkMySQL(t, dsn, 1, payload), bad)
	delete(bad, "mysql.records")

	run(t, server, "CREATE USER reader IDENTIFIED BY 'x'", "GRANT SELECT, INSERT, UPDATE ON *.* TO reader")
	bad["mysql.rights"], bad["mysql.replica"], bad["mysql.transactions"] = doctor.Error, doctor.Unread, doctor.Unread
	all := checkMySQL(t, strings.Replace(dsn, "root@", "reader:x@", 1), 2, payload)
	expect(t, all, bad)
	if f := statuses(all)["mysql.rights"]; !strings.Contains(f.Seen, "DELETE on doc_task") || strings.Contains(f.Seen, "INSERT") {
		t.Errorf("%+v, want DELETE alone", f)
	}
	run(t, server, "SET GLOBAL super_read_only = ON")
	bad["mysql.rights"], bad["mysql.writable"] = doctor.Unread, doctor.Error
	delete(bad, "mysql.replica")
	delete(bad, "mysql.transactions")
	expect(t, checkMySQL(t, dsn, 2, payload), bad)
	server.Kill()
	expect(t, checkMySQL(t, dsn, 2, payload), map[string]doctor.Status{"mysql.reach": doctor.Error})
}

func run(t *testing.T, server *testserver.Server, statements ...string) {
	t.Helper()
	db, err := sql.Open("mysql", server.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func checkRedis(t *testing.T, o *redis.Options) []doctor.Finding {
	t.Helper()
	rdb := redis.NewClient(o)
	defer rdb.Close()
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: "doc", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Redis{Client: rdb, Set: set, HotTasks: 500_000}.Check(t.Context())
}

// A Redis that evicts, a user with the least rights, one with too few, a replica, and none.
func TestABadRedisIsFound(t *testing.T) {
	t.Parallel()
	server := start(t, testserver.Redis, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", "--timeout", "5",
		"--client-output-buffer-limit", "normal 1mb 0 0", "--min-replicas-to-write", "1")
	bad := map[string]doctor.Status{"redis.memory": doctor.Warning, "redis.policy": doctor.Error, "redis.timeout": doctor.Warning, "redis.buffer": doctor.Warning,
		"redis.replicas": doctor.Error, "redis.rights": doctor.Error}
	expect(t, checkRedis(t, &redis.Options{Addr: server.Addr}), bad)

	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer rdb.Close()
	for _, set := range [][2]string{{"maxmemory", "0"}, {"maxmemory-policy", "noeviction"}, {"timeout", "0"}, {"client-output-buffer-limit", "normal 0 0 0"}, {"min-replicas-to-write", "0"}} {
		if err := rdb.ConfigSet(t.Context(), set[0], set[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, checkRedis(t, &redis.Options{Addr: server.Addr}), nil)
	least := []string{"~{doc:*}:*", "&{doc:*}:wake", "+eval", "+evalsha", "+time", "+info", "+publish", "+subscribe", "+exists", "+unlink", "+hmget", "+hget", "+hset", "+hdel", "+hlen",
		"+hexists", "+hscan", "+hgetall", "+zadd", "+zrange", "+zrem", "+zremrangebyrank", "+zcard", "+zcount", "+zscore", "+sadd", "+srem", "+smembers", "+sismember", "+smismember", "+ping"}
	user(t, rdb, "least", least)
	user(t, rdb, "less", append(least, "-zcount"))
	expect(t, checkRedis(t, &redis.Options{Addr: server.Addr, Username: "least", Password: "x"}), map[string]doctor.Status{"redis.config": doctor.Unread})
	all := checkRedis(t, &redis.Options{Addr: server.Addr, Username: "less", Password: "x"})
	expect(t, all, map[string]doctor.Status{"redis.config": doctor.Unread, "redis.rights": doctor.Error})
	if f := statuses(all)["redis.rights"]; !strings.Contains(f.Seen, "ZCOUNT") {
		t.Errorf("%+v, want ZCOUNT by name", f)
	}

	host, port, _ := strings.Cut(server.Addr, ":")
	replica := start(t, testserver.Redis, "--replicaof", host+" "+port)
	found := statuses(checkRedis(t, &redis.Options{Addr: replica.Addr}))
	if found["redis.role"].Status != doctor.Error {
		t.Errorf("a replica: %+v", found)
	}
	server.Kill()
	expect(t, checkRedis(t, &redis.Options{Addr: server.Addr, MaxRetries: -1}), map[string]doctor.Status{"redis.reach": doctor.Error})
}

func user(t *testing.T, rdb *redis.Client, name string, rules []string) {
	t.Helper()
	if err := rdb.ACLSetUser(t.Context(), name, append([]string{"on", ">x"}, rules...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

// A file that is not there, that others may read, that another Store has open, and that is damaged.
func TestABadFileIsFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tasks.bolt")
	check := func(free bool, want map[string]doctor.Status) {
		t.Helper()
		all, got := doctor.Bolt(path)
		if expect(t, all, want); got != free {
			t.Errorf("the file can be opened: %t, want %t", got, free)
		}
	}
	check(false, map[string]doctor.Status{"bolt.file": doctor.Error})
	store, err := bolt.Open(path, bolt.Options{Namespace: "doc"})
	if err != nil {
		t.Fatal(err)
	}
	if f := doctor.Format(context.Background(), store, 1); f.Status != doctor.Error {
		t.Errorf("a file without the namespace: %+v", f)
	}
	if err := store.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if f := doctor.Format(context.Background(), store, 1); f.Status != doctor.OK {
		t.Errorf("a file: %+v", f)
	}
	check(false, map[string]doctor.Status{"bolt.lock": doctor.Warning})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	check(true, nil)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	check(true, map[string]doctor.Status{"bolt.mode": doctor.Warning})
	if err := os.WriteFile(path, []byte(strings.Repeat("no file of bbolt ", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	check(false, map[string]doctor.Status{"bolt.mode": doctor.Warning, "bolt.pages": doctor.Error})
}
