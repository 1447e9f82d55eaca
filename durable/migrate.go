package durable

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// migrations only grow: a file that was released is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrateWait is how long a process waits for another that migrates.
const migrateWait = 60

// unlockWait bounds the release of that lock, which ends with its connection anyhow.
const unlockWait = 5 * time.Second

// Migrate implements Store. Where nothing is to be done it only reads. The rights to
// create and to alter tables are needed for a new version of the schema alone. Processes that call
// it at once wait for one another (GET_LOCK); each statement may be run again after
// a crash, or at the same time on a cluster that has no such lock.
func (m *MySQL) Migrate(ctx context.Context, partitions int) error {
	err := m.Check(ctx, partitions)
	if !errors.Is(err, task.ErrNotMigrated) {
		return err
	}
	err = m.retry(ctx, "migrate", func(conn *sql.Conn) error {
		unlock, err := m.lock(ctx, conn)
		if err != nil {
			return err
		}
		return errors.Join(m.migrate(ctx, conn, partitions), unlock())
	})
	if err != nil {
		return err
	}
	return m.Check(ctx, partitions)
}

// lock takes the server-wide lock of this namespace in this database.
func (m *MySQL) lock(ctx context.Context, conn *sql.Conn) (unlock func() error, err error) {
	var db sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&db); err != nil {
		return nil, err
	}
	if !db.Valid {
		return nil, fmt.Errorf("%w: the DSN names no database", task.ErrRefused)
	}
	name := fmt.Sprintf("triggerhook:%s:%08x", m.ns, crc32.ChecksumIEEE([]byte(db.String)))
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, migrateWait).Scan(&got); err != nil {
		return nil, err
	}
	if got.Int64 != 1 {
		return nil, fmt.Errorf("%w: another process has been migrating for %d s", task.ErrUnavailable, migrateWait)
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockWait)
		defer cancel()
		_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", name)
		return err
	}, nil
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
	rows, err := conn.QueryContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')")
	if err != nil {
		return err
	}
	defer rows.Close()
	vars := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		vars[strings.ToLower(name)] = strings.ToUpper(value)
	}
	if vars["log_bin"] == "ON" && vars["binlog_format"] == "STATEMENT" {
		return fmt.Errorf("%w: binlog_format is STATEMENT, which InnoDB does not allow under READ COMMITTED; set ROW or MIXED", task.ErrRefused)
	}
	return rows.Err()
}
