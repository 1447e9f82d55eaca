package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Schema says which version the tables of a namespace have. A version is a number of migrations.
type Schema struct {
	Version    int // of the tables: 0 if there are none
	Library    int // of this library; it works with the tables if neither of the other two says otherwise
	Compatible int // the oldest version whose library works with the tables
}

// Schema returns the version of the tables. It changes nothing, and needs the right to SELECT alone.
func (m *MySQL) Schema(ctx context.Context) (s Schema, err error) {
	s.Library = len(m.schema)
	err = m.bounded(ctx, "read the schema's version", func(ctx context.Context, conn *sql.Conn) (err error) {
		s.Version, s.Compatible, err = m.version(ctx, conn)
		if number(err) == noTable {
			return nil
		}
		return err
	})
	return s, err
}

// MigrationSQL returns the statements that Migrate would run now, for someone to run who may change tables where this process may not:
// a script for the mysql client. Nothing is to be done if it is empty. It changes nothing. After the
// script has run, Migrate only reads.
//
// ErrInvalid: partitions is not positive. ErrMismatch: another number is recorded.
func (m *MySQL) MigrationSQL(ctx context.Context, partitions int) (string, error) {
	if partitions < 1 {
		return "", fmt.Errorf("%w: %d partitions, there is at least one", task.ErrInvalid, partitions)
	}
	err := m.Check(ctx, partitions)
	if !errors.Is(err, task.ErrNotMigrated) {
		return "", err
	}
	s, err := m.Schema(ctx)
	if err != nil {
		return "", err
	}
	var script strings.Builder
	add := func(statement string, args ...any) {
		for _, a := range args {
			statement = strings.Replace(statement, "?", fmt.Sprint(a), 1)
		}
		script.WriteString(strings.TrimSpace(statement) + ";\n")
	}
	add(m.sql["create_migration"])
	for i := s.Version; i < s.Library; i++ {
		fmt.Fprintf(&script, "-- %s\n", m.schema[i].name)
		for _, statement := range m.schema[i].statements {
			add(statement)
		}
		add(m.sql["insert_migration"], i+1, m.schema[i].compatible, time.Now().UnixMilli())
	}
	add(m.sql["insert_meta"], "'"+task.RecordIdentity+"'", "'"+newIdentity()+"'")
	add(m.sql["insert_meta"], "'partitions'", fmt.Sprintf("'%d'", partitions))
	return script.String(), nil
}
