package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/task"
)

const (
	// migrateWait is how long a process waits for another that migrates.
	migrateWait = time.Minute
	// lockPoll is how often it asks. It does not wait inside the server: a limit of the
	// client or of the server on one statement may be shorter.
	lockPoll = 200 * time.Millisecond
	// unlockWait bounds the release of that lock. The lock ends with its connection in any case.
	unlockWait = 5 * time.Second
)

// migrationLock is the server-wide lock of a namespace in a database.
type migrationLock struct {
	name string
	held bool // false: the server has no such locks
}

// lock takes the lock, or does without it where the server or a proxy refuses GET_LOCK (Percona XtraDB
// Cluster under pxc_strict_mode=ENFORCING). That is safe, but slower: each statement of a
// migration may run at the same time in several processes. CREATE TABLE has IF NOT EXISTS, a
// column that exists (1060) is taken for added, INSERT is IGNORE, and a migration is recorded
// after it was run. The server runs statements that change one table one after another, and a cluster
// does so in one order on all nodes; a deadlock is tried again. The lock only keeps
// processes from getting into each other's way.
func (m *MySQL) lock(ctx context.Context, conn *sql.Conn) (migrationLock, error) {
	var db sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&db); err != nil {
		return migrationLock{}, err
	}
	if !db.Valid {
		return migrationLock{}, fmt.Errorf("%w: the DSN names no database", task.ErrRefused)
	}
	l := migrationLock{name: fmt.Sprintf("triggerhook:%s:%08x", m.ns, crc32.ChecksumIEEE([]byte(db.String)))}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for end := time.Now().Add(migrateWait); ; {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", l.name).Scan(&got)
		switch {
		case refusesLocks(err):
			return l, nil
		case err != nil:
			return l, err
		case got.Int64 == 1:
			l.held = true
			return l, nil
		case time.Now().After(end):
			return l, fmt.Errorf("%w: another process has been migrating for %s", task.ErrUnavailable, migrateWait)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return l, ctx.Err()
		}
	}
}

// refusesLocks reports whether err is an answer to GET_LOCK which means that the server has no such locks. Errors
// that say that the server is away, or that the connection or the statement has ended, do not mean that.
func refusesLocks(err error) bool {
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return false
	}
	if my.Number == 1105 { // Percona's "prohibits use of GET_LOCK"; other servers use the number for anything
		return true
	}
	f := known(err)
	return f.kind == nil || f.kind == task.ErrRefused || f.then == leave && my.Number == 1290
}

// unlock releases the lock, if this process has it.
func (l migrationLock) unlock(ctx context.Context, conn *sql.Conn) error {
	if !l.held {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockWait)
	defer cancel()
	_, err := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", l.name)
	return err
}
