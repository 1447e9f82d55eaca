package durable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/triggerhook/triggerhook/task"
)

// Tries of one call: at most 4, and none later than 2 s after the first has failed, so
// that a caller learns soon that its server is away, and a deadlock's loser does not.
const (
	tries    = 4
	tryFor   = 2 * time.Second
	tryPause = 20 * time.Millisecond
)

// session makes a connection what the statements rely on, whatever the DSN or the
// server's configuration made of it. Only what has no other way is set:
//
//   - READ COMMITTED: no gap locks, and a retry sees what others committed.
//   - sql_mode: a value that does not fit is an error, never cut. Modes that change
//     how SQL is read stay; the statements are written for all of them.
//   - innodb_lock_wait_timeout: the least there is, so that a user's transaction
//     on one row holds up a group of callers for one second at most.
//   - autocommit, completion_type: each statement commits, and a COMMIT begins
//     nothing new.
//   - unique_checks: without them a second row of an id could come in.
//   - sql_select_limit: rows that a read left out would be taken for absent.
//   - sql_big_selects: else max_join_size may refuse a page.
//   - sql_safe_updates: else some servers refuse a deletion by a list of ids.
//   - in_predicate_conversion_threshold, which only MariaDB reads: a list of 1000
//     ids stays a list, and is not made a table that all tasks are compared with.
//
// What does not come up in a steady state may cost round trips: these two
// statements are sent once a connection.
var session = []string{
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	"SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), innodb_lock_wait_timeout = 1, autocommit = 1," +
		" completion_type = 0, unique_checks = 1, sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_safe_updates = 0" +
		" /*M!100338 , in_predicate_conversion_threshold = 0 */",
}

// retry runs f on a connection whose session is set, again after errors that
// another try may mend, and gives the last error a type.
func (m *MySQL) retry(ctx context.Context, act string, f func(*sql.Conn) error) error {
	return m.retryIf(ctx, act, passing, f)
}

// bounded is retry for a call that shares no statement: it ends in time also if ctx
// does not.
func (m *MySQL) bounded(ctx context.Context, act string, f func(context.Context, *sql.Conn) error) error {
	own, cancel := m.paced(ctx)
	defer cancel()
	return m.silent(own, m.retry(own, act, func(conn *sql.Conn) error { return f(own, conn) }))
}

// retryIf is retry with another idea of what another try may mend.
func (m *MySQL) retryIf(ctx context.Context, act string, again func(error) bool, f func(*sql.Conn) error) error {
	pause := retry.NewExponential(tryPause)
	pause = retry.WithJitterPercent(30, pause)
	pause = retry.WithMaxRetries(tries-1, pause)
	var failed time.Time // at first: a try of many statements may take long before it fails
	err := retry.Do(ctx, pause, func(ctx context.Context) error {
		err := m.on(ctx, f)
		if err == nil || !again(err) {
			return err
		}
		if failed.IsZero() {
			failed = time.Now()
		}
		if time.Since(failed) > tryFor {
			return err
		}
		return retry.RetryableError(err)
	})
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", act, errors.Join(ctx.Err(), typed(err)))
	}
	return fmt.Errorf("%s: %w", act, typed(err))
}

// passing reports whether err may be gone at the next try.
func passing(err error) bool { return passingForMany(err) || known(err).then == apart }

// passingForMany is passing for a group: a lock wait is no reason to try all of
// them again, but to try each of them alone.
func passingForMany(err error) bool { return lost(err) || known(err).then == again }

// errAlone tells a caller of a group to try again without the others.
var errAlone = errors.New("to be tried alone")

// alone reports whether err may be the fault of one of several callers, so that
// the others are better off without it.
func alone(err error) bool {
	switch number(err) {
	case outOfRange, badValue, tooLong:
		return true
	}
	return known(err).then == apart || errors.Is(err, task.ErrTooLarge)
}

// on runs f on one connection. It is given up where the server at its end takes no writes,
// or does not work: after a failover it may lead to the server of before for ever, and what
// is read there is old.
func (m *MySQL) on(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // gives it back to the pool; that cannot fail in a way that matters
	if err := m.set(ctx, conn); err != nil {
		return err
	}
	err = f(conn)
	switch known(err).then {
	case leave:
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool closes it
	case apart:
		if m.held(ctx, conn) {
			return &heldError{err}
		}
	}
	return err
}

// held reports, after a lock wait that was too long, whether the table is what was waited
// for (LOCK TABLES, an ALTER, FLUSH TABLES WITH READ LOCK) and not a row: a statement that
// deletes nothing waits too. The server answers both with the same number.
func (m *MySQL) held(ctx context.Context, conn *sql.Conn) bool {
	_, err := conn.ExecContext(ctx, m.sql["touch_tasks"])
	return known(err).then == apart
}

// set sets the session, once a connection. A driver's connection that cannot be
// told from others (a wrapper that is a plain struct) is set each time.
func (m *MySQL) set(ctx context.Context, conn *sql.Conn) error {
	var key any
	if err := conn.Raw(func(dc any) error { key = dc; return nil }); err != nil {
		return err
	}
	known := reflect.TypeOf(key).Comparable()
	if known {
		m.mu.Lock()
		_, done := m.ready[key]
		m.mu.Unlock()
		if done {
			return nil
		}
	}
	for _, stmt := range session {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	if m.server.Load() == 0 {
		var n int64
		if err := conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&n); err != nil {
			return err
		}
		m.server.Store(n)
		m.packet.CompareAndSwap(0, n)
	}
	if known {
		m.remember(key)
	}
	return nil
}

// remember notes that key's session is set. The map holds connections strongly,
// so that an address is not used twice; those that were closed go, with all
// others, each time that it holds twice what is open. So a connection is set
// at most about twice, and few dead ones are kept.
func (m *MySQL) remember(key any) {
	const least = 16
	most := least + 2*m.db.Stats().OpenConnections
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ready) >= most {
		clear(m.ready)
	}
	m.ready[key] = struct{}{}
}
