package durable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/sethvargo/go-retry"

	"github.com/triggerhook/triggerhook/task"
)

// Tries of one call: at most 4 within 2 s, so that a caller learns soon that its
// server is away, and a deadlock's loser does not.
const (
	tries    = 4
	tryFor   = 2 * time.Second
	tryPause = 20 * time.Millisecond
)

// retry runs f on a connection whose session is set, again after errors that
// another try may mend, and gives the last error a type.
func (m *MySQL) retry(ctx context.Context, act string, f func(*sql.Conn) error) error {
	pause := retry.NewExponential(tryPause)
	pause = retry.WithJitterPercent(30, pause)
	pause = retry.WithMaxRetries(tries-1, retry.WithMaxDuration(tryFor, pause))
	err := retry.Do(ctx, pause, func(ctx context.Context) error {
		err := m.on(ctx, f)
		if lost(err) || number(err) == 1213 || number(err) == 1205 {
			return retry.RetryableError(err)
		}
		return err
	})
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", act, errors.Join(ctx.Err(), typed(err)))
	}
	return fmt.Errorf("%s: %w", act, typed(err))
}

// on runs f on one connection.
func (m *MySQL) on(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // gives it back to the pool; that cannot fail in a way that matters
	if err := m.set(ctx, conn); err != nil {
		return err
	}
	return f(conn)
}

// set makes the session what the statements rely on, once a connection.
func (m *MySQL) set(ctx context.Context, conn *sql.Conn) error {
	var key any
	if err := conn.Raw(func(dc any) error { key = dc; return nil }); err != nil {
		return err
	}
	m.mu.Lock()
	_, done := m.ready[key]
	m.mu.Unlock()
	if done {
		return nil
	}
	for _, stmt := range []string{
		"SET SESSION innodb_lock_wait_timeout = 2, autocommit = 1",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	} {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	if m.packet.Load() == 0 {
		var n int64
		if err := conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&n); err != nil {
			return err
		}
		m.packet.Store(n)
	}
	m.remember(key)
	return nil
}

// remember notes that key's session is set. Connections that were closed
// meanwhile are forgotten with all others once in a while.
func (m *MySQL) remember(key any) {
	const most = 1000
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ready) >= most {
		clear(m.ready)
	}
	m.ready[key] = struct{}{}
}

// number is the server's error number, or 0.
func number(err error) uint16 {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return my.Number
	}
	return 0
}

// lost reports whether the connection was lost or could not be made.
func lost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch number(err) {
	case 1053, 1927, 3169, 4031: // shutdown; connection killed or closed for idleness
		return true
	}
	var op *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// typed adds the sentinel that tells what err is.
func typed(err error) error {
	kind := kindOf(err)
	if kind == nil {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func kindOf(err error) error {
	switch number(err) {
	case 1146:
		return task.ErrNotMigrated
	case 1044, 1045, 1049, 1142, 1143, 1227, 1665, 1698:
		return task.ErrRefused
	case 1153, 1301, 1118, 1406:
		return task.ErrTooLarge
	case 1290, 1792, 1836:
		return task.ErrReadOnly
	case 1040, 1203, 1205, 1213:
		return task.ErrUnavailable
	}
	switch {
	case errors.Is(err, mysql.ErrPktTooLarge):
		return task.ErrTooLarge
	case lost(err):
		return task.ErrUnavailable
	}
	return nil
}
