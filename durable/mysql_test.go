package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/durabletest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

var sqlKinds = []testserver.Kind{testserver.MySQL, testserver.MySQL56, testserver.MariaDB}

func open(t *testing.T, db *sql.DB) *durable.MySQL {
	t.Helper()
	s, err := durable.NewMySQL(db, durable.Options{Namespace: "t"})
	if err != nil {
		t.Fatalf("NewMySQL: %v", err)
	}
	return s
}

func TestStore(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			server := testserver.Shared(t, kind)
			durabletest.Run(t, func(t *testing.T) durable.Store { return open(t, server.DB(t, "")) })
		})
	}
}

func TestModel(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := open(t, testserver.Shared(t, kind).DB(t, ""))
			if err := s.Migrate(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(rt *rapid.T) { durabletest.Model(rt, s) })
		})
	}
}

// A *sql.DB that is configured badly for the store works all the same.
func TestAnyDSNWorks(t *testing.T) {
	for _, kind := range sqlKinds {
		server := testserver.Shared(t, kind)
		for name, params := range map[string]string{
			"multi":        "multiStatements=true&interpolateParams=true",
			"parseTime":    "parseTime=true&loc=America%2FNew_York&time_zone=%27-05%3A00%27",
			"ansi":         "sql_mode=%27ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT%27&interpolateParams=true",
			"lax":          "sql_mode=%27%27&clientFoundRows=true",
			"serializable": "tx_isolation=%27SERIALIZABLE%27&autocommit=0",
			"latin1":       "charset=latin1&interpolateParams=true",
			"repeatable":   "tx_isolation=%27REPEATABLE-READ%27&sql_mode=%27PAD_CHAR_TO_FULL_LENGTH%27&sql_safe_updates=1",
			"chained":      "completion_type=1&autocommit=0&unique_checks=0",
			"released":     "completion_type=2&sql_mode=%27TRADITIONAL%27",
			"limited":      "sql_select_limit=1&max_join_size=100",
			"small packet": "maxAllowedPacket=20000",
			"small, raw":   "maxAllowedPacket=20000&interpolateParams=true",
		} {
			if server.Kind == testserver.MySQL {
				params = strings.Replace(params, "tx_isolation", "transaction_isolation", 1)
			}
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				works(t, open(t, server.DB(t, params)))
			})
		}
	}
}

// works uses each verb once, with values that a bad setting would spoil.
func works(t *testing.T, s *durable.MySQL) {
	t.Helper()
	ctx := t.Context()
	if err := s.Migrate(ctx, 1); err != nil {
		t.Fatal(err)
	}
	r := task.Row{Ref: task.Ref{ID: `é'"\😀 `, Ver: 5}, NextMS: 9, DueMS: 9, Payload: []byte("\\'\"\x00\xff")}
	if err := s.Create(ctx, []task.Row{r}); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, []task.Row{{Ref: task.Ref{ID: r.ID, Ver: 6}}}); !errors.Is(err, task.ErrExists) {
		t.Errorf("Create of an id that exists: %v", err)
	}
	if err := s.Create(ctx, []task.Row{{Ref: task.Ref{ID: strings.Repeat("x", task.MaxID+1), Ver: 7}}}); err == nil {
		t.Error("Create of an id that is too long was taken: the server cut it")
	}
	rows, refs := numbered(1500)
	if err := s.Create(ctx, rows); err != nil {
		t.Fatal(err)
	}
	found, err := s.Get(ctx, []string{refs[0].ID, r.ID, refs[9].ID})
	if err != nil || len(found) != 3 {
		t.Errorf("Get of three returned %d rows, %v", len(found), err)
	}
	for _, f := range found {
		if f.ID == r.ID && string(f.Payload) != string(r.Payload) {
			t.Errorf("the payload came back as %q", f.Payload)
		}
	}
	if page, err := s.Scan(ctx, task.Cursor{}, 100, 2000, 10); err != nil || len(page) != 1501 {
		t.Errorf("Scan returned %d rows, %v", len(page), err)
	}
	if ok, err := s.Move(ctx, r.Ref, task.Row{Ref: task.Ref{ID: r.ID, Ver: 6}, NextMS: 10}); !ok || err != nil {
		t.Errorf("Move answered %v, %v", ok, err)
	}
	got, err := s.Delete(ctx, append(slices.Clone(refs), r.Ref, task.Ref{ID: r.ID, Ver: 6}))
	if n := slices.Index(got, false); err != nil || n != 1500 || !got[1501] {
		t.Errorf("Delete answered the first false at %d, %v", n, err)
	}
	if n, exact, err := s.Count(ctx, 10); n != 0 || !exact || err != nil {
		t.Errorf("Count answered %d, %v, %v", n, exact, err)
	}
}

// A user's transaction that holds one row fails that row's caller alone.
func TestALockedRowHoldsUpNoOtherCall(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			db := testserver.Shared(t, kind).DB(t, "")
			s := open(t, db)
			if err := s.Migrate(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			var rows []task.Row
			for i := range 20 {
				rows = append(rows, task.Row{Ref: task.Ref{ID: fmt.Sprint(i), Ver: int64(i)}, NextMS: 1})
			}
			if err := s.Create(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if _, err := tx.Exec("UPDATE t_task SET attempt = 9 WHERE id = '7'"); err != nil {
				t.Fatal(err)
			}
			errs := make(chan error, len(rows))
			for _, r := range rows {
				go func() {
					got, err := s.Delete(context.Background(), []task.Ref{r.Ref})
					if (err == nil && got[0]) == (r.ID == "7") {
						errs <- fmt.Errorf("row %s: %v, %v", r.ID, got, err)
						return
					}
					errs <- nil
				}()
			}
			for range rows {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestALostConnectionIsTriedAgain(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			db := testserver.Shared(t, kind).DB(t, "")
			db.SetMaxOpenConns(1)
			s := open(t, db)
			if err := s.Migrate(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			var id int64
			if err := db.QueryRow("SELECT CONNECTION_ID()").Scan(&id); err != nil {
				t.Fatal(err)
			}
			killer := testserver.Shared(t, kind).DB(t, "")
			if _, err := killer.Exec(fmt.Sprintf("KILL %d", id)); err != nil {
				t.Fatal(err)
			}
			if err := s.Create(t.Context(), []task.Row{{Ref: task.Ref{ID: "a", Ver: 1}}}); err != nil {
				t.Errorf("Create after its connection was killed: %v", err)
			}
		})
	}
}

func TestErrorsHaveTypes(t *testing.T) {
	server := testserver.Own(t, testserver.MySQL56, "--max-allowed-packet=64K")
	db := server.DB(t, "")
	s := open(t, db)
	if err := s.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	big := task.Row{Ref: task.Ref{ID: "big", Ver: 1}, Payload: make([]byte, 1<<17)}
	if err := s.Create(t.Context(), []task.Row{big}); !errors.Is(err, task.ErrTooLarge) {
		t.Errorf("row beyond max_allowed_packet: %v, want ErrTooLarge", err)
	}
	if _, err := db.Exec("CREATE USER 'reader'@'localhost'"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("SET GLOBAL read_only = 1"); err != nil {
		t.Fatal(err)
	}
	var name string
	if err := db.QueryRow("SELECT DATABASE()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	denied, err := sql.Open("mysql", strings.Replace(server.DSN(name), "root@", "reader@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer denied.Close()
	if err := open(t, denied).Check(t.Context(), 1); !errors.Is(err, task.ErrRefused) {
		t.Errorf("user without rights: %v, want ErrRefused", err)
	}
	if _, err := db.Exec("GRANT ALL ON " + name + ".* TO 'reader'@'localhost'"); err != nil {
		t.Fatal(err)
	}
	granted, err := sql.Open("mysql", strings.Replace(server.DSN(name), "root@", "reader@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer granted.Close()
	if err := open(t, granted).Create(t.Context(), []task.Row{{Ref: task.Ref{ID: "a", Ver: 1}}}); !errors.Is(err, task.ErrReadOnly) {
		t.Errorf("read-only server: %v, want ErrReadOnly", err)
	}
	if n := granted.Stats().OpenConnections; n > 0 {
		t.Errorf("%d connections to a read-only server are kept, want none: the next one may lead to another", n)
	}
	server.Kill()
	start := time.Now()
	if _, err := s.Get(t.Context(), []string{"a"}); !errors.Is(err, task.ErrUnavailable) {
		t.Errorf("server away: %v, want ErrUnavailable", err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("it took %s to learn that the server is away", d)
	}
}

func TestStatementLoggingIsRefusedByName(t *testing.T) {
	s := open(t, testserver.Shared(t, testserver.MySQL56).DB(t, "binlog_format=STATEMENT"))
	if err := s.Migrate(t.Context(), 1); !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), "binlog_format") {
		t.Errorf("Migrate with binlog_format=STATEMENT: %v, want ErrRefused by name", err)
	}
}

func TestNewMySQLRefusesBadOptions(t *testing.T) {
	_, err := durable.NewMySQL(nil, durable.Options{Namespace: "Bad-Name"})
	if !errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), "db is nil") || !strings.Contains(err.Error(), "Bad-Name") {
		t.Errorf("NewMySQL(nil, Bad-Name): %v, want both problems", err)
	}
}
