package durable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/task"
)

// Numbers of the server's errors that decide what happens next.
const (
	dupColumn = 1060
	duplicate = 1062
	lockWait  = 1205
	deadlock  = 1213
	certified = 3101 // Group Replication rolled a transaction back at its COMMIT: another server's was first
)

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
	case 1053, 1080, 1317, 1927, 2006, 2013, 3169, 4031: // shutdown; killed; closed for idleness; a proxy lost its server
		return true
	}
	var op *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// unsure reports whether a commit that ended with err may have happened: its
// answer was lost, or nobody waited for it any longer. With ErrBadConn nothing was
// sent.
func unsure(err error) bool {
	return lost(err) && !errors.Is(err, driver.ErrBadConn) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// typed adds the sentinel that tells what err is.
func typed(err error) error {
	kind := kindOf(err)
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func kindOf(err error) error {
	switch number(err) {
	case 1146:
		return task.ErrNotMigrated
	case 1044, 1045, 1046, 1049, 1130, 1142, 1143, 1227, 1665, 1698, 1820, 1862, 3118, 3772:
		// access denied in its many forms (account locked, password expired), no such database, statement logging
		return task.ErrRefused
	case 1118, 1153, 1301, 1406:
		return task.ErrTooLarge
	case 1290, 1792, 1836:
		return task.ErrReadOnly
	case 1021, 1030, 1040, 1041, 1047, 1114, 1203, 1226, 1461, 3100, lockWait, deadlock, certified:
		// disk or table full or failing, connections, memory or statements exhausted, a node without its cluster (Galera, Group Replication)
		return task.ErrUnavailable
	}
	switch {
	case errors.Is(err, mysql.ErrPktTooLarge):
		return task.ErrTooLarge
	case errors.Is(err, mysql.ErrNoTLS), errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword),
		errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrOldProtocol):
		return task.ErrRefused
	case lost(err):
		return task.ErrUnavailable
	}
	return nil
}
