package durable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// migrations only grow: a file that was released is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// Migrate implements Store. Where nothing is to be done it only reads. The rights to
// create and to alter tables are needed for a new version of the schema alone. Processes that call
// it at once wait for one another, for a minute at most, where the server has GET_LOCK. A table
// that others hold is waited for as long, in turns of some seconds, between which others get at it.
func (m *MySQL) Migrate(ctx context.Context, partitions int) error {
	err := m.Check(ctx, partitions)
	if !errors.Is(err, task.ErrNotMigrated) {
		return err
	}
	for end := time.Now().Add(migrateWait); ; {
		err = m.retryIf(ctx, "migrate", passingForMany, func(conn *sql.Conn) error { return m.migrateLocked(ctx, conn, partitions) })
		if number(err) != lockTimeout || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		return err
	}
	return m.Check(ctx, partitions)
}

// migrateLocked migrates on a connection that is given up afterwards: an ALTER of a large
// table may take longer than a statement is allowed to on the others.
func (m *MySQL) migrateLocked(ctx context.Context, conn *sql.Conn, partitions int) error {
	l, err := m.lock(ctx, conn)
	if err != nil {
		return err
	}
	if s := m.session.Load(); s != nil && s.extras[maxStatementTime] {
		_, err = conn.ExecContext(ctx, "SET SESSION "+maxStatementTime+" = 0")
	}
	if err == nil {
		err = m.migrate(ctx, conn, partitions)
	}
	err = errors.Join(err, l.unlock(ctx, conn))
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool closes it
	return err
}

func (m *MySQL) migrate(ctx context.Context, conn *sql.Conn, partitions int) error {
	if err := m.checkBinlog(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, m.sql["create_migration"]); err != nil {
		return err
	}
	version, err := m.version(ctx, conn)
	if err != nil {
		return err
	}
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	for i := version; i < len(files); i++ {
		text, err := migrations.ReadFile("migrations/" + files[i].Name())
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, body(string(text), m.ns)); err != nil && number(err) != dupColumn {
			return fmt.Errorf("migration %s: %w", files[i].Name(), err)
		}
		if _, err := conn.ExecContext(ctx, m.sql["insert_migration"], i+1, time.Now().UnixMilli()); err != nil {
			return err
		}
	}
	if _, err = conn.ExecContext(ctx, m.sql["insert_meta"], []byte(task.RecordIdentity), []byte(newIdentity())); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, m.sql["insert_meta"], []byte("partitions"), []byte(strconv.Itoa(partitions)))
	return err
}

func (m *MySQL) version(ctx context.Context, conn *sql.Conn) (v int, err error) {
	err = conn.QueryRowContext(ctx, m.sql["get_migration"]).Scan(&v)
	return v, err
}

// Check implements Store.
func (m *MySQL) Check(ctx context.Context, partitions int) error {
	return m.bounded(ctx, "check", func(ctx context.Context, conn *sql.Conn) error {
		if err := m.checkVersion(ctx, conn); err != nil {
			return err
		}
		var value []byte
		err := conn.QueryRowContext(ctx, m.sql["get_meta"], []byte("partitions")).Scan(&value)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: no number of partitions is recorded", task.ErrNotMigrated)
		}
		if err != nil {
			return err
		}
		if string(value) != strconv.Itoa(partitions) {
			return fmt.Errorf("%w: namespace %q has %s partitions, this process was made with %d", task.ErrMismatch, m.ns, value, partitions)
		}
		err = conn.QueryRowContext(ctx, m.sql["get_meta"], []byte(task.RecordIdentity)).Scan(&value)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: no identity is recorded: an older version of this library has migrated it", task.ErrNotMigrated)
		}
		if err != nil {
			return err
		}
		return m.checkBinlog(ctx, conn)
	})
}

func (m *MySQL) checkVersion(ctx context.Context, conn *sql.Conn) error {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	version, err := m.version(ctx, conn)
	switch {
	case err != nil:
		return err
	case version < len(files):
		return fmt.Errorf("%w: schema has version %d, this library needs %d", task.ErrNotMigrated, version, len(files))
	case version > len(files):
		return fmt.Errorf("%w: schema has version %d, this library knows %d", task.ErrRefused, version, len(files))
	}
	return nil
}

// checkBinlog refuses statement-based logging: InnoDB takes no write with it
// under READ COMMITTED.
func (m *MySQL) checkBinlog(ctx context.Context, conn *sql.Conn) error {
	vars, err := variables(ctx, conn, "log_bin", "binlog_format")
	if err != nil {
		return err
	}
	if strings.EqualFold(vars["log_bin"], "ON") && strings.EqualFold(vars["binlog_format"], "STATEMENT") {
		return fmt.Errorf("%w: binlog_format is STATEMENT, which InnoDB does not allow under READ COMMITTED; set ROW or MIXED", task.ErrRefused)
	}
	return nil
}
