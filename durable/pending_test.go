package durable_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// What MigrationSQL prints does what Migrate does: afterwards both have nothing to do, and the tables are the same.
func TestMigrationSQLIsWhatMigrateRuns(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		server := testserver.Shared(t, kind)
		byHand, byLibrary := server.DB(t, "multiStatements=true"), server.DB(t, "")
		s := open(t, byHand)
		if at, err := s.Schema(t.Context()); err != nil || at.Version != 0 || at.Library == 0 {
			t.Fatalf("schema of an empty database: %+v, %v; want version 0", at, err)
		}
		script, err := s.MigrationSQL(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(t.Context(), 4); !errors.Is(err, task.ErrNotMigrated) {
			t.Fatalf("Check after MigrationSQL: %v, want ErrNotMigrated", err)
		}
		half := script[:strings.Index(script, "-- 0002")] // as an older library has left it
		for _, part := range []string{half, ""} {
			if part == "" {
				if part, err = s.MigrationSQL(t.Context(), 4); err != nil || strings.Contains(part, "-- 0001") || !strings.Contains(part, "-- 0002") {
					t.Fatalf("after the first migration: %v, %s", err, part)
				}
			}
			if _, err := byHand.Exec(part); err != nil {
				t.Fatalf("%v in %s", err, part)
			}
		}
		at, err := s.Schema(t.Context())
		if err != nil || at.Version != at.Library || at.Compatible < 1 {
			t.Errorf("schema after the script: %+v, %v", at, err)
		}
		if again, err := s.MigrationSQL(t.Context(), 4); err != nil || again != "" {
			t.Errorf("MigrationSQL after the script: %q, %v; want nothing", again, err)
		}
		if _, err := s.MigrationSQL(t.Context(), 5); !errors.Is(err, task.ErrMismatch) {
			t.Errorf("MigrationSQL for another number of partitions: %v, want ErrMismatch", err)
		}
		if _, err := s.MigrationSQL(t.Context(), 0); !errors.Is(err, task.ErrInvalid) {
			t.Errorf("MigrationSQL for no partitions: %v, want ErrInvalid", err)
		}
		if err := s.Migrate(t.Context(), 4); err != nil {
			t.Error(err)
		}
		if err := open(t, byLibrary).Migrate(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"t_task", "t_meta", "t_migration", "t_dead", "t_outbox", "t_done"} {
			if hand, library := shown(t, byHand, table), shown(t, byLibrary, table); hand != library {
				t.Errorf("table by the script: %s\nby Migrate: %s", hand, library)
			}
		}
	})
}

// shown is the statement by which the server would make a table.
func shown(t *testing.T, db *sql.DB, table string) (statement string) {
	t.Helper()
	if err := db.QueryRow("SHOW CREATE TABLE "+table).Scan(new(string), &statement); err != nil {
		t.Fatal(err)
	}
	return statement
}
