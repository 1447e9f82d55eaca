package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// member looks at the state of this member of a group.
func member(ctx context.Context, conn *sql.Conn) Finding {
	const check = "mysql.group.member"
	var state, role string
	err := conn.QueryRowContext(ctx, "SELECT member_state, member_role FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid").Scan(&state, &role)
	if err != nil {
		return unread(check, err)
	}
	f := Finding{Check: check, Status: OK, Seen: state + " " + role}
	if state != "ONLINE" || role != "PRIMARY" {
		f.Status, f.Means, f.Mend = Error, "This member does not take the writes of the group.", "Lead --store to the primary; a member in ERROR joins again with START GROUP_REPLICATION."
	}
	return f
}

// tableNames are the tables of a namespace that workers read and write.
var tableNames = []string{"task", "dead", "done", "outbox", "meta", "migration"}

// rights tries each right that docs/security.md names, with statements that meet no row.
func (m MySQL) rights(ctx context.Context, conn *sql.Conn) Finding {
	const check = "mysql.rights"
	var denied, absent, other []string
	readOnly := false
	for _, name := range tableNames {
		for right, err := range try(ctx, conn, m.table(name)) {
			if isDenied(err) {
				denied = append(denied, right+" on "+m.table(name))
			} else if numberOf(err) == 1146 {
				absent = append(absent, m.table(name))
			} else if n := numberOf(err); n == 1290 || n == 1792 || n == 1836 { // by an option, by the transaction, by the mode of the server
				readOnly = true
			} else if err != nil {
				other = append(other, fmt.Sprintf("%s on %s: %s", right, m.table(name), err))
			}
		}
	}
	switch {
	case len(denied) > 0:
		return Finding{check, Error, "missing: " + strings.Join(denied, ", "), "Calls of workers and producers that need it are refused.",
			"GRANT SELECT, INSERT, UPDATE, DELETE ON `database`.* TO 'user'@'host'"}
	case len(absent) > 0:
		return Finding{check, Unread, "there are no tables " + strings.Join(absent, ", "), "The rights could not be tried.", "Run: triggerhook migrate"}
	case readOnly:
		return Finding{check, Unread, "the server takes no writes, so the rights to write could not be tried", "This check says nothing.", "See mysql.writable."}
	case len(other) > 0:
		return unread(check, errors.New(strings.Join(other, "; ")))
	}
	return Finding{Check: check, Status: OK, Seen: "SELECT, INSERT, UPDATE and DELETE on all tables of the namespace"}
}

// try runs a statement for each right, which meets no row and changes nothing. It yields rights and what came of them.
func try(ctx context.Context, conn *sql.Conn, table string) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		column, err := firstColumn(ctx, conn, table)
		if !yield("SELECT", err) || err != nil {
			return
		}
		for _, s := range []struct{ right, statement string }{
			{"INSERT", "INSERT INTO `%[1]s` SELECT * FROM `%[1]s` WHERE FALSE"},
			{"UPDATE", "UPDATE `%[1]s` SET `%[2]s` = `%[2]s` WHERE FALSE"},
			{"DELETE", "DELETE FROM `%[1]s` WHERE FALSE"},
		} {
			_, err := conn.ExecContext(ctx, fmt.Sprintf(s.statement, table, column))
			if !yield(s.right, err) {
				return
			}
		}
	}
}

func firstColumn(ctx context.Context, conn *sql.Conn, table string) (string, error) {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM `"+table+"` LIMIT 0")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || len(columns) == 0 {
		return "", errors.Join(err, rows.Err())
	}
	return columns[0], rows.Err()
}

// numberOf is the number of an error that the server has answered, otherwise 0.
func numberOf(err error) uint16 {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.Number
}

// isDenied reports whether err says that the user may not: to the database, to log in, to a table, to a column, or at all.
func isDenied(err error) bool {
	switch numberOf(err) {
	case 1044, 1045, 1142, 1143, 1227:
		return true
	}
	return false
}
