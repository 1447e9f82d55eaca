package durable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Migrate implements Store. Where nothing is to be done it only reads; so it is with a schema that is newer than
// this library and compatible with it. The rights to
// create and to alter tables are needed for a new version of the schema alone. Processes that call
// it at once wait for one another, for a minute at most, where the server has GET_LOCK. A table
// that others hold is waited for as long, in turns of some seconds, between which others get at it.
func (m *MySQL) Migrate(ctx context.Context, partitions int) error {
	err := m.Check(ctx, partitions)
	if !errors.Is(err, task.ErrNotMigrated) {
		return err
	}
	for end := time.Now().Add(migrateWait); ; {
		err = m.retryIf(ctx, "migrate", retryableInGroup, func(conn *sql.Conn) error { return m.migrateLocked(ctx, conn, partitions) })
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
	version, _, err := m.version(ctx, conn)
	if err != nil {
		return err
	}
	for i := version; i < len(m.schema); i++ {
		if err := m.apply(ctx, conn, i); err != nil {
			return fmt.Errorf("migration %s: %w", m.schema[i].name, err)
		}
	}
	if _, err = conn.ExecContext(ctx, m.sql["insert_meta"], []byte(task.RecordIdentity), []byte(newIdentity())); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, m.sql["insert_meta"], []byte("partitions"), []byte(strconv.Itoa(partitions)))
	return err
}

// apply runs one migration, and then records it. A process may die between its statements, so each can be run again: one
// that makes a table does nothing if it is there, and a column that is there already (1060) is the one it adds.
func (m *MySQL) apply(ctx context.Context, conn *sql.Conn, i int) error {
	for _, statement := range m.schema[i].statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil && number(err) != dupColumn {
			return err
		}
	}
	_, err := conn.ExecContext(ctx, m.sql["insert_migration"], i+1, m.schema[i].compatible, time.Now().UnixMilli())
	return err
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
