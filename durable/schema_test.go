package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// later is what the next version of this library adds to the schema.
const later = "ALTER TABLE t_task ADD COLUMN later BIGINT NOT NULL DEFAULT 0"

// next opens a store as the next version of this library will: its schema has a migration more, which works with
// libraries of that version and later.
func next(t *testing.T, db *sql.DB, compatible int) *durable.MySQL {
	t.Helper()
	s := open(t, db)
	s.AddMigration(compatible, later)
	return s
}

// A schema of before is brought up to date and keeps its rows, also where a process
// died between a statement and the note that it was run.
func TestAnOlderSchemaIsBroughtUpToDate(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		for _, died := range []bool{false, true} {
			db := testserver.Shared(t, kind).DB(t, "")
			mustCreate(t, migrated(t, db), []task.Row{{Ref: task.Ref{ID: "a", Ver: 7}}})
			if died {
				exec(t, db, later)
			}
			s := next(t, db, 1)
			if err := s.Check(t.Context(), 1); !errors.Is(err, task.ErrNotMigrated) {
				t.Errorf("Check before: %v, want ErrNotMigrated", err)
			}
			if err := s.Migrate(t.Context(), 1); err != nil {
				t.Fatalf("Migrate, died=%v: %v", died, err)
			}
			got, err := s.DeleteByID(t.Context(), []string{"a"}, task.MaxDue)
			if err != nil || len(got) != 1 || got[0].Ref != (task.Ref{ID: "a", Ver: 7}) || got[0].PrevVer != 0 {
				t.Errorf("the row of before: %v, %v", got, err)
			}
		}
	})
}

// A library works with a newer schema that declares itself compatible with it: its Check and its
// Migrate are nil and change nothing, and both versions work with each other's rows. So a rolling deploy and a
// rollback work.
func TestANewerSchemaThatIsCompatibleIsUsedAsItIs(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		db := testserver.Shared(t, kind).DB(t, "")
		old, newer := migrated(t, db), next(t, db, 1)
		mustCreate(t, old, []task.Row{{Ref: task.Ref{ID: "of the older", Ver: 1}, NextMS: 1}})
		if err := newer.Migrate(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		mustCreate(t, newer, []task.Row{{Ref: task.Ref{ID: "of the newer", Ver: 2}, NextMS: 2}})
		for _, again := range []*durable.MySQL{old, open(t, db)} { // one that ran all the time, and one that is started after a rollback
			if err := errors.Join(again.Migrate(t.Context(), 1), again.Check(t.Context(), 1)); err != nil {
				t.Fatalf("an older library on a newer schema: %v", err)
			}
			rows, err := again.Scan(t.Context(), task.Cursor{}, 10, 10, 10)
			if err != nil || len(rows) != 2 {
				t.Errorf("it reads %v, %v; want both rows", rows, err)
			}
		}
		if moved, err := old.Move(t.Context(), task.Ref{ID: "of the newer", Ver: 2}, task.Row{Ref: task.Ref{ID: "of the newer", Ver: 3}, NextMS: 3}); !moved || err != nil {
			t.Errorf("Move by the older library: %v, %v", moved, err)
		}
		deleted, err := newer.Delete(t.Context(), []task.Ref{{ID: "of the older", Ver: 1}, {ID: "of the newer", Ver: 3}})
		if err != nil || slices.Contains(deleted, false) {
			t.Errorf("Delete by the newer library: %v, %v", deleted, err)
		}
		var versions, compatible int
		if err := db.QueryRow("SELECT COUNT(*), MAX(compatible) FROM t_migration").Scan(&versions, &compatible); err != nil || versions != newer.SchemaVersion() || compatible != 1 {
			t.Errorf("%d migrations are recorded, compatible with %d, %v; want %d and 1", versions, compatible, err, newer.SchemaVersion())
		}
	})
}

// A library refuses a newer schema that is not compatible with it, whatever a still newer migration declares.
func TestANewerSchemaThatIsNotCompatibleIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		db := testserver.Shared(t, kind).DB(t, "")
		old := migrated(t, db)
		own := old.SchemaVersion()
		newer := next(t, db, own+1)
		newer.AddMigration(1, "ALTER TABLE t_meta ADD COLUMN later BIGINT NOT NULL DEFAULT 0")
		if err := newer.Migrate(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("schema has version %d, which works with libraries of version %d and later; this library has version %d", own+2, own+1, own)
		for act, err := range map[string]error{"Check": old.Check(t.Context(), 1), "Migrate": old.Migrate(t.Context(), 1)} {
			if !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of a newer schema: %v, want ErrRefused that names the versions", act, err)
			}
		}
		if err := next(t, db, own+1).Check(t.Context(), 1); err != nil {
			t.Errorf("Check by a library of the version that the schema works with: %v", err)
		}
	})
}

// Tables of a library from before the first release are refused, and left as they are.
func TestASchemaFromBeforeTheFirstReleaseIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		db := testserver.Shared(t, kind).DB(t, "")
		exec(t, db, "CREATE TABLE t_migration (version INT NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (version)) ENGINE=InnoDB",
			"INSERT INTO t_migration VALUES (1, 0), (2, 0), (3, 0)")
		s := open(t, db)
		for act, err := range map[string]error{"Check": s.Check(context.Background(), 1), "Migrate": s.Migrate(context.Background(), 1)} {
			if !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), "before the first release") {
				t.Errorf("%s: %v, want ErrRefused", act, err)
			}
		}
	})
}

// A migration says at its head which libraries work with it.
func TestAMigrationDeclaresWhatItIsCompatibleWith(t *testing.T) {
	compatible, statements, err := durable.ParseMigration("0002_x.sql", "-- Compatible: 1\n-- Why.\nALTER TABLE `{ns}_a`\n  ADD b INT;\nDO 1\n", "mail")
	if err != nil || compatible != 1 || !slices.Equal(statements, []string{"ALTER TABLE `mail_a`\n  ADD b INT", "DO 1"}) {
		t.Errorf("it was read as %d, %q, %v", compatible, statements, err)
	}
	for _, text := range []string{"", "DO 1", "-- Compatible: 0\nDO 1", "-- Compatible: x\nDO 1", "-- Why.\n-- Compatible: 1\nDO 1", "-- Compatible: 99999999999999999999\nDO 1"} {
		if _, _, err := durable.ParseMigration("0002_x.sql", text, "mail"); err == nil || !strings.Contains(err.Error(), "0002_x.sql") {
			t.Errorf("a migration of %q: %v, want an error that names the file", text, err)
		}
	}
}
