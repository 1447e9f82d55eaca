package durable

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// The schema has a version: the number of migrations that were applied. A library knows the
// migrations that are compiled into it, so it has a schema version too.
//
// Each migration declares which older libraries go on working beside it: the line "-- Compatible: N" at
// its head names the oldest schema version whose library works with the tables as the
// migration leaves them. So a library of version L works with a schema of version S if S = L, or
// if S > L and no migration above L declares more than L. An older schema than its own it migrates first.
//
// A migration may declare itself compatible with version N only if every statement of that version's
// library still means the same: no column, index or table that it names is dropped or renamed, each new column has a
// default or may be NULL, and no row or record takes a form that it cannot read. Otherwise the
// migration declares its own version, and all processes of older versions must have ended before Migrate.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema.
type migration struct {
	name       string
	compatible int // the oldest schema version whose library works with the result
	statements []string
}

var compatibleLine = regexp.MustCompile(`(?m)\A-- Compatible: (\d+)$`)

// loadMigrations reads the migrations in order and names the tables of ns.
func loadMigrations(ns string) ([]migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	all := make([]migration, 0, len(files))
	for i, f := range files {
		text, err := migrationFiles.ReadFile("migrations/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", f.Name(), err)
		}
		m, err := parseMigration(f.Name(), string(text), ns)
		if err != nil {
			return nil, err
		}
		if m.compatible > i+1 {
			return nil, fmt.Errorf("migration %s declares itself compatible with version %d alone, it has version %d", f.Name(), m.compatible, i+1)
		}
		all = append(all, m)
	}
	return all, nil
}

// parseMigration reads one file: its first line, and statements that end with a semicolon and the line.
func parseMigration(name, text, ns string) (migration, error) {
	line := compatibleLine.FindStringSubmatch(text)
	if line == nil {
		return migration{}, fmt.Errorf("migration %s does not begin with a line \"-- Compatible: N\"", name)
	}
	n, err := strconv.Atoi(line[1])
	if err != nil || n < 1 {
		return migration{}, fmt.Errorf("migration %s is compatible with version %q, want a number above 0", name, line[1])
	}
	return migration{name, n, strings.Split(body(text, ns), ";\n")}, nil
}

// version returns the schema's version, and the oldest version of a library that works with it.
func (m *MySQL) version(ctx context.Context, conn *sql.Conn) (version, compatible int, err error) {
	err = conn.QueryRowContext(ctx, m.sql["get_migration"]).Scan(&version, &compatible)
	if number(err) == unknownColumn {
		err = fmt.Errorf("%w: the tables of namespace %q are of a library from before the first release; drop them, and run Migrate", task.ErrRefused, m.ns)
	}
	return version, compatible, err
}

// checkVersion reports whether this library works with the schema.
func (m *MySQL) checkVersion(ctx context.Context, conn *sql.Conn) error {
	own := len(m.schema)
	version, compatible, err := m.version(ctx, conn)
	switch {
	case err != nil:
		return err
	case version < own:
		return fmt.Errorf("%w: schema has version %d, this library needs %d", task.ErrNotMigrated, version, own)
	case compatible > own:
		return fmt.Errorf("%w: schema has version %d, which works with libraries of version %d and later; this library has version %d",
			task.ErrRefused, version, compatible, own)
	}
	return nil
}
