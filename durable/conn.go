package durable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/triggerhook/triggerhook/task"
)

// A call has at most 4 tries, and none later than 2 s after the first has failed. So a caller learns
// soon that its server is away, and a deadlock is not returned to a caller.
const (
	tries    = 4
	tryFor   = 2 * time.Second
	tryPause = 20 * time.Millisecond
)

// retry runs f on a connection whose session is set. After errors that another try may mend it
// runs f again. It adds a sentinel to the last error.
func (m *MySQL) retry(ctx context.Context, act string, f func(*sql.Conn) error) error {
	return m.retryIf(ctx, act, retryable, f)
}

// bounded is retry for a call that shares no statement: it ends after statementTimeout even if ctx
// does not end.
func (m *MySQL) bounded(ctx context.Context, act string, f func(context.Context, *sql.Conn) error) error {
	return m.boundedIn(ctx, fresh, act, f)
}

// boundedIn is bounded on a connection in a mode.
func (m *MySQL) boundedIn(ctx context.Context, in mode, act string, f func(context.Context, *sql.Conn) error) error {
	own, cancel := m.paced(ctx)
	defer cancel()
	return m.nameTimeout(own, m.retryIn(own, in, act, retryable, func(conn *sql.Conn) error { return f(own, conn) }))
}

// retryIf is retry, except that again decides which errors another try may mend.
func (m *MySQL) retryIf(ctx context.Context, act string, again func(error) bool, f func(*sql.Conn) error) error {
	return m.retryIn(ctx, fresh, act, again, f)
}

// retryIn is retryIf on a connection in a mode.
func (m *MySQL) retryIn(ctx context.Context, in mode, act string, again func(error) bool, f func(*sql.Conn) error) error {
	pause := retry.NewExponential(tryPause)
	pause = retry.WithJitterPercent(30, pause)
	pause = retry.WithMaxRetries(tries-1, pause)
	var failed time.Time // when the first try failed: a try of many statements may take long before it fails
	err := retry.Do(ctx, pause, func(ctx context.Context) error {
		err := m.on(ctx, in, f)
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

// retryable reports whether the next try may succeed after err.
func retryable(err error) bool { return retryableInGroup(err) || known(err).then == tryApart }

// retryableInGroup is retryable for a group. After a lock wait the group is not tried again: each of its
// calls goes alone.
func retryableInGroup(err error) bool { return connLost(err) || known(err).then == tryAgain }

// errSplit tells a caller of a group to try again without the others.
var errSplit = errors.New("to be tried alone")

// splitsGroup reports whether one of several calls may have caused err, so that each call should go
// alone.
func splitsGroup(err error) bool {
	switch number(err) {
	case outOfRange, badValue, tooLong:
		return true
	}
	return known(err).then == tryApart || errors.Is(err, task.ErrTooLarge)
}

// on runs f on one connection in a mode. It closes the connection if the server takes no writes, or does
// not work: after a failover the connection may lead to the former master for ever, and reads there
// are stale.
func (m *MySQL) on(ctx context.Context, in mode, f func(*sql.Conn) error) error {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // gives it back to the pool; that cannot fail in a way that matters
	if err := m.set(ctx, conn, in); err != nil {
		return err
	}
	err = f(conn)
	switch known(err).then {
	case leave:
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the pool closes it
	case tryApart:
		if m.held(ctx, conn) {
			return &heldError{err}
		}
	}
	return err
}

// held reports, after a lock wait that was too long, whether the table is locked (LOCK TABLES,
// an ALTER, FLUSH TABLES WITH READ LOCK) and not only a row. The server has the same number for
// both. If the table is locked, a statement that deletes nothing waits too.
func (m *MySQL) held(ctx context.Context, conn *sql.Conn) bool {
	_, err := conn.ExecContext(ctx, m.sql["touch_tasks"])
	return known(err).then == tryApart
}
