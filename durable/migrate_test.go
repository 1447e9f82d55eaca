package durable_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// lockName is what processes agree on that migrate the namespace t of a database.
func lockName(db string) string {
	return fmt.Sprintf("triggerhook:t:%08x", crc32.ChecksumIEEE([]byte(db)))
}

// Another process migrates for longer than the client or the server allows a statement
// to take. Migrate waits all the same, and no statement of it waits inside the server.
func TestMigrateWaitsUnderShortLimits(t *testing.T) {
	for _, c := range []struct {
		kind   testserver.Kind
		params string
	}{
		{testserver.MySQL, "readTimeout=1s"}, {testserver.MySQL, "max_execution_time=1000"},
		{testserver.MariaDB, "readTimeout=1s"}, {testserver.MariaDB, "max_statement_time=1"}, {testserver.MySQL56, "readTimeout=1s"},
	} {
		t.Run(string(c.kind)+"/"+c.params, func(t *testing.T) {
			t.Parallel()
			server := testserver.Shared(t, c.kind)
			name := server.Database(t)
			holder, err := openDB(t, server.DSN(name)).Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer holder.Close()
			if _, err := holder.ExecContext(t.Context(), "DO GET_LOCK(?, 1)", lockName(name)); err != nil {
				t.Fatal(err)
			}
			migrated := make(chan error, 1)
			go func() { migrated <- open(t, openDB(t, server.DSN(name)+"?"+c.params)).Migrate(context.Background(), 1) }()
			seen := 0
			for range 25 { // 2.5 s
				<-time.After(100 * time.Millisecond)
				var in int
				err := holder.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND state = 'User lock'").Scan(&in)
				if err != nil {
					t.Fatal(err)
				}
				seen += min(in, 1)
			}
			if seen > 5 { // a GET_LOCK that does not wait may be seen too, for a moment
				t.Fatalf("a thread waited inside GET_LOCK %d of 25 times", seen)
			}
			select {
			case err := <-migrated:
				t.Errorf("Migrate did not wait: %v", err)
			default:
			}
			if _, err := holder.ExecContext(t.Context(), "DO RELEASE_LOCK(?)", lockName(name)); err != nil {
				t.Fatal(err)
			}
			if err := <-migrated; err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
	}
}

// Where GET_LOCK is refused many processes migrate at the same time, and the schema is
// whole.
func TestMigrateWorksWhereLocksAreRefused(t *testing.T) {
	for _, refusal := range []mysql.MySQLError{
		{Number: 1105, Message: "Percona-XtraDB-Cluster prohibits use of GET_LOCK with pxc_strict_mode = ENFORCING"},
		{Number: 1235, Message: "This version doesn't yet support 'GET_LOCK'"},
		{Number: 1305, Message: "FUNCTION jobs.GET_LOCK does not exist"},
	} {
		for _, kind := range sqlKinds {
			t.Run(fmt.Sprintf("%s/%d", kind, refusal.Number), func(t *testing.T) {
				t.Parallel()
				server := testserver.Shared(t, kind)
				name := server.Database(t)
				each(t, 8, func(i int) error {
					w := tapped(t, server, name)
					w.answer(&refusal, 1000, "SELECT GET_LOCK")
					s := open(t, w.db)
					if err := s.Migrate(context.Background(), 3); err != nil {
						return err
					}
					return s.Create(context.Background(), []task.Row{{Ref: task.Ref{ID: fmt.Sprint(i), Ver: 1}}})
				})
				files, err := filepath.Glob("migrations/*.sql")
				var n int
				if e := openDB(t, server.DSN(name)).QueryRow("SELECT COUNT(*) FROM t_migration").Scan(&n); e != nil || err != nil || n != len(files) {
					t.Errorf("%d migrations are recorded, %v; want %d, %v", n, e, len(files), err)
				}
			})
		}
	}
}

// A table that others hold when a migration would alter it is waited for in turns.
func TestMigrateWaitsForTheTable(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		server := testserver.Shared(t, kind)
		name := server.Database(t)
		db := openDB(t, server.DSN(name))
		migrated(t, db)
		tx, err := db.Begin() // a long transaction has read the table
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		var n int
		if err := tx.QueryRow("SELECT COUNT(*) FROM t_task").Scan(&n); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- next(t, db, 1).Migrate(context.Background(), 1) }()
		for n = 0; n == 0; {
			select {
			case err := <-done:
				t.Fatalf("Migrate did not wait: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			if err := db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'ALTER TABLE%' AND state LIKE '%lock%'").Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.QueryRow("SELECT COUNT(*) FROM t_task").Scan(&n); err != nil { // it stands behind the ALTER, and has its turn
			t.Errorf("a reader beside Migrate: %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("Migrate: %v", err)
		}
	})
}

// If a lock is never given back, Migrate returns an error that says so.
func TestMigrateThatEndsTellsItsCaller(t *testing.T) {
	server := testserver.Shared(t, testserver.MySQL)
	name := server.Database(t)
	holder, err := openDB(t, server.DSN(name)).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.ExecContext(t.Context(), "DO GET_LOCK(?, 1)", lockName(name)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := open(t, openDB(t, server.DSN(name))).Migrate(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Migrate beside another: %v, want the end of its context", err)
	}
}
