package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

func exec(t *testing.T, db *sql.DB, stmts ...string) {
	t.Helper()
	for _, stmt := range stmts {
		if _, err := db.Exec(stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
}

// as opens a database of server as another user, without a password.
func as(t *testing.T, server *testserver.Server, user, database string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(server.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Passwd = user, ""
	db, err := sql.Open("mysql", cfg.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Ten pools stand for ten processes that start at once.
func TestTenProcessesMigrateAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		server := testserver.Shared(t, kind)
		name := server.Database(t)
		dbs := make([]*sql.DB, 10)
		for i := range dbs {
			db, err := sql.Open("mysql", server.DSN(name))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			dbs[i] = db
		}
		each(t, len(dbs), func(i int) error {
			s := open(t, dbs[i])
			if err := s.Migrate(context.Background(), 3); err != nil {
				return err
			}
			return s.Create(context.Background(), []task.Row{{Ref: task.Ref{ID: fmt.Sprint(i), Ver: 1}}})
		})
		var n int
		if err := dbs[0].QueryRow("SELECT COUNT(*) FROM t_migration").Scan(&n); err != nil || n != open(t, dbs[0]).SchemaVersion() {
			t.Errorf("%d migrations are recorded, %v; want each once", n, err)
		}
	})
}

// documentedRights reads from docs/security.md what a user is granted.
func documentedRights(t *testing.T, user string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`GRANT ([A-Z, ]+) ON jobs\.\* TO '` + user + `'@`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/security.md grants nothing to %s", user)
	}
	return string(m[1])
}

// A user needs no right beyond those that the documentation names, on its own
// database: after the first start none to create tables; and none of the others can
// be left out.
func TestRightsThatAreNeeded(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			server := testserver.Own(t, kind)
			root := server.DB(t, "")
			var name string
			if err := root.QueryRow("SELECT DATABASE()").Scan(&name); err != nil {
				t.Fatal(err)
			}
			for user, rights := range map[string]string{"th_all": documentedRights(t, "triggerhook_admin"), "th_rows": documentedRights(t, "triggerhook"), "th_read": "SELECT"} {
				exec(t, root, "CREATE USER '"+user+"'@'%'", "CREATE USER '"+user+"'@'localhost'",
					"GRANT "+rights+" ON `"+name+"`.* TO '"+user+"'@'%'", "GRANT "+rights+" ON `"+name+"`.* TO '"+user+"'@'localhost'")
			}
			if err := open(t, as(t, server, "th_rows", name)).Migrate(t.Context(), 1); !errors.Is(err, task.ErrRefused) {
				t.Errorf("Migrate without the right to create tables: %v, want ErrRefused", err)
			}
			works(t, open(t, as(t, server, "th_all", name)))
			works(t, open(t, as(t, server, "th_rows", name)))
			reader := open(t, as(t, server, "th_read", name))
			if err := reader.Check(t.Context(), 1); err != nil {
				t.Errorf("Check by a reader: %v", err)
			}
			if err := reader.Create(t.Context(), []task.Row{{Ref: task.Ref{ID: "a", Ver: 1}}}); !errors.Is(err, task.ErrRefused) {
				t.Errorf("Create by a reader: %v, want ErrRefused", err)
			}
			rights := strings.Split(documentedRights(t, "triggerhook"), ", ")
			for i, right := range rights {
				user := "th_no_" + strings.ToLower(right)
				others := strings.Join(slices.Delete(slices.Clone(rights), i, i+1), ", ")
				for _, host := range []string{"%", "localhost"} {
					exec(t, root, "CREATE USER '"+user+"'@'"+host+"'", "GRANT "+others+" ON `"+name+"`.* TO '"+user+"'@'"+host+"'")
				}
				if err := life(t, open(t, as(t, server, user, name))); !errors.Is(err, task.ErrRefused) {
					t.Errorf("a task's life without the right to %s: %v, want ErrRefused", right, err)
				}
			}
			for what, db := range map[string]*sql.DB{
				"no such user": as(t, server, "th_nobody", name), "no such database": as(t, server, "root", "th_nowhere"), "no database": as(t, server, "root", ""),
			} {
				if err := open(t, db).Migrate(t.Context(), 1); !errors.Is(err, task.ErrRefused) {
					t.Errorf("%s: %v, want ErrRefused", what, err)
				}
			}
		})
	}
}

// life creates, moves, reads and deletes a task, as far as it may.
func life(t *testing.T, s *durable.MySQL) error {
	t.Helper()
	ref, to := task.Ref{ID: "life", Ver: 1}, task.Ref{ID: "life", Ver: 2}
	err := s.Create(t.Context(), []task.Row{{Ref: ref}})
	if err == nil {
		_, err = s.Move(t.Context(), ref, task.Row{Ref: to})
	}
	if err == nil {
		_, err = s.Get(t.Context(), []string{"life"})
	}
	_, gone := s.Delete(t.Context(), []task.Ref{ref, to})
	return errors.Join(err, gone)
}

// A small max_allowed_packet makes statements small, and only a row that is
// larger fails.
func TestASmallPacketMakesSmallStatements(t *testing.T) {
	for _, kind := range sqlKinds {
		server := testserver.Own(t, kind, "--max-allowed-packet=64K")
		for _, params := range []string{"", "interpolateParams=true"} {
			t.Run(string(kind)+"/"+params, func(t *testing.T) {
				s := migrated(t, server.DB(t, params))
				rows, refs := numbered(400)
				for i := range rows {
					id := rows[i].ID + strings.Repeat("x", task.MaxID-len(rows[i].ID))
					rows[i].ID, refs[i].ID, rows[i].Payload = id, id, []byte(strings.Repeat(`'\`, 400))
				}
				big := task.Row{Ref: task.Ref{ID: "big", Ver: 1}, Payload: make([]byte, 1<<17)}
				each(t, len(rows)+1, func(i int) error {
					if i < len(rows) {
						return s.Create(context.Background(), rows[i:i+1])
					}
					if err := s.Create(context.Background(), []task.Row{big}); !errors.Is(err, task.ErrTooLarge) {
						return fmt.Errorf("row beyond max_allowed_packet: %w, want ErrTooLarge", err)
					}
					return nil
				})
				ids := make([]string, len(refs))
				for i, r := range refs {
					ids[i] = r.ID
				}
				if found, err := s.Get(t.Context(), ids); err != nil || len(found) != len(ids) {
					t.Errorf("Get returned %d rows, %v", len(found), err)
				}
				if got, err := s.Delete(t.Context(), refs); err != nil || slices.Contains(got, false) {
					t.Errorf("Delete of %d: %v", len(refs), err)
				}
			})
		}
	}
}

// The connection is killed while the server works on its statement.
func TestAStatementThatIsKilledIsTriedAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		db := testserver.Shared(t, kind).DB(t, "")
		s := migrated(t, db)
		rows, refs := numbered(3)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.Exec("UPDATE t_task SET attempt = 9 WHERE id = ?", []byte(refs[1].ID)); err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() {
			got, err := s.Delete(context.Background(), refs)
			if err == nil && slices.Contains(got, false) {
				err = fmt.Errorf("Delete answered %v", got)
			}
			result <- err
		}()
		kill(t, db)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Errorf("Delete whose connection was killed: %v", err)
		}
	})
}

// kill kills the connection of the DELETE that is under way, once there is one.
func kill(t *testing.T, db *sql.DB) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		var id int64
		err := db.QueryRow("SELECT id FROM information_schema.processlist WHERE info LIKE 'DELETE t %' AND db = DATABASE()").Scan(&id)
		if err == nil {
			exec(t, db, fmt.Sprintf("KILL CONNECTION %d", id))
			return
		}
		if !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		<-tick.C
	}
	t.Fatal("no DELETE is under way")
}

// What ctx's end leaves under way does not read the caller's slices any more (the
// race detector sees it).
func TestAnEndedCallLeavesItsSlicesAlone(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		db := testserver.Shared(t, kind).DB(t, "interpolateParams=true")
		s := migrated(t, db)
		rows, _ := numbered(200)
		each(t, len(rows), func(i int) error {
			rows[i].Payload = make([]byte, 4096)
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*10*time.Microsecond)
			defer cancel()
			err := s.Create(ctx, rows[i:i+1])
			clear(rows[i : i+1])
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		})
		if _, err := s.Delete(t.Context(), []task.Ref{{ID: "x", Ver: 1}, {ID: "y", Ver: 1}}); err != nil {
			t.Error(err)
		}
	})
}

func TestCountEstimatesAboveItsLimit(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		db := testserver.Shared(t, kind).DB(t, "")
		s := migrated(t, db)
		rows, _ := numbered(5000)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "ANALYZE TABLE t_task")
		if n, exact, err := s.Count(t.Context(), 100); n < 2500 || n > 10000 || exact || err != nil {
			t.Errorf("Count of 5000 up to 100: %d, %v, %v; want an estimate", n, exact, err)
		}
	})
}
