package durable

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/task"
)

// Numbers of the server's errors that the code looks for by name; all others that it
// knows are in faults.
const (
	unknownColumn = 1054
	dupColumn     = 1060
	duplicate     = 1062
	noTable       = 1146
	unknownVar    = 1193
	lockTimeout   = 1205
	outOfRange    = 1264
	badValue      = 1366 // not a value of that type
	tooLong       = 1406
)

// number is the server's error number, or 0.
func number(err error) uint16 {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		return my.Number
	}
	return 0
}

// known is what the table faults says of err, the zero fault if the table does not have it.
func known(err error) fault {
	var held *heldError
	if errors.As(err, &held) {
		return fault{kind: task.ErrUnavailable}
	}
	return faults[number(err)]
}

// heldError is a lock wait that is not about a row: the table or the whole server is locked, so the
// calls of a group, each alone, would only wait one after the other.
type heldError struct{ err error }

// Error implements error.
func (e *heldError) Error() string { return "the table is locked: " + e.err.Error() }

// Unwrap returns the server's error.
func (e *heldError) Unwrap() error { return e.err }

// connLost reports whether the connection was lost or could not be made.
func connLost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || untrusted(err) {
		return false
	}
	if known(err).then == broken {
		return true
	}
	var op *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
}

// untrusted reports whether one side of a TLS connection refused the other's
// certificate.
func untrusted(err error) bool {
	var server *tls.CertificateVerificationError
	var client tls.AlertError
	return errors.As(err, &server) || errors.As(err, &client)
}

// unsure reports whether a commit that ended with err may have happened: its
// answer was lost, or the caller did not wait for it any longer. With ErrBadConn nothing
// was sent.
func unsure(err error) bool {
	return connLost(err) && !errors.Is(err, driver.ErrBadConn) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// typed adds the sentinel that says what err is.
func typed(err error) error {
	kind := kindOf(err)
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func kindOf(err error) error {
	if f := known(err); f.kind != nil {
		if f.kind == task.ErrUnavailable && full(err) {
			return task.ErrDiskFull
		}
		return f.kind
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mysql.ErrPktTooLarge):
		return task.ErrTooLarge
	case errors.Is(err, mysql.ErrNoTLS), errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword),
		errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrOldProtocol), untrusted(err):
		return task.ErrRefused
	case err.Error() == "sql: database is closed": // database/sql does not export it
		return task.ErrClosed
	case connLost(err):
		return task.ErrUnavailable
	}
	return nil
}

// noSpace is how servers word these errors of the operating system: 27 file too large,
// 28 no space left on device, 135 no more room in record file (HA_ERR_RECORD_FILE_FULL).
var noSpace = regexp.MustCompile(`(?i)no space left|disk (is )?full|quota exceeded|file too large|\b(error|errno):? (27|28|135)\b`)

// full reports whether a server's error says that it has no room to write.
func full(err error) bool {
	var my *mysql.MySQLError
	return errors.As(err, &my) && noSpace.MatchString(my.Message)
}
