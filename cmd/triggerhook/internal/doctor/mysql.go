package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// MySQL is a durable store that is to be examined.
type MySQL struct {
	DB         *sql.DB        // of Store, which sets the sessions of its connections
	Store      *durable.MySQL // the store as workers use it
	Partitions int            // as the workers have it
	MaxPayload int            // the workers' Options.MaxPayload
}

// settings are variables and status counters of a server, by their names in lower case.
type settings map[string]string

// is reports whether a switch is on.
func (s settings) is(name string) bool { return strings.EqualFold(s[name], "ON") || s[name] == "1" }

// number is a variable as a number, 0 if there is none.
func (s settings) number(name string) int64 {
	n, _ := strconv.ParseInt(s[name], 10, 64)
	return n
}

// Check examines the server, and the tables of the namespace.
func (m MySQL) Check(ctx context.Context) []Finding {
	m.DB.SetMaxOpenConns(1) // so that the store and session look at the same connection
	defer m.DB.SetMaxOpenConns(0)
	schema := m.schema(ctx)
	conn, err := m.DB.Conn(ctx)
	if err != nil {
		return []Finding{failed("mysql.reach", "Nothing is created, confirmed or deleted.", "Check address, user and password of --store, and that the server runs.", err)}
	}
	all, err := m.examine(ctx, conn)
	if err = errors.Join(err, conn.Close()); err != nil {
		return append(all, failed("mysql.reach", "The server does not answer as a MySQL does.", "Check what --store leads to, and its proxy.", err))
	}
	return append(append(all, schema...), m.packet(ctx))
}

// examine makes the checks that one connection of the store can make.
func (m MySQL) examine(ctx context.Context, conn *sql.Conn) ([]Finding, error) {
	global, err := read(ctx, conn, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return nil, err
	}
	session, err := read(ctx, conn, "SHOW SESSION VARIABLES")
	if err != nil {
		return nil, err
	}
	status, err := read(ctx, conn, "SHOW GLOBAL STATUS")
	if err != nil {
		return nil, err
	}
	all := judgeMySQL(global, session, status)
	all = append(all, mysqlClock(ctx, conn), replica(ctx, conn), longTransaction(ctx, conn))
	if global["group_replication_group_name"] != "" {
		all = append(all, judgeGroup(global)...)
		all = append(all, member(ctx, conn))
	}
	return append(append(all, m.tables(ctx, conn)), m.rights(ctx, conn)), nil
}

// read reads a SHOW of names and values.
func read(ctx context.Context, conn *sql.Conn, show string) (settings, error) {
	rows, err := conn.QueryContext(ctx, show)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", show, err)
	}
	defer rows.Close()
	all := settings{}
	for rows.Next() {
		var name string
		var value sql.NullString
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("%s: %w", show, err)
		}
		all[strings.ToLower(name)] = value.String
	}
	return all, rows.Err()
}

// schema looks at the version of the tables, and at what Migrate has recorded.
func (m MySQL) schema(ctx context.Context) []Finding {
	const check, migrate = "mysql.schema", "Run: triggerhook migrate"
	s, err := m.Store.Schema(ctx)
	if err != nil {
		return []Finding{failed(check, "The version of the tables is not known, so no worker starts.", "See mysql.reach and mysql.rights.", err)}
	}
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("tables have version %d, this command works with %d", s.Version, s.Library)}
	switch {
	case s.Version < s.Library:
		f.Status, f.Means, f.Mend = Error, "Workers of this version do not start.", migrate
	case s.Compatible > s.Library:
		f.Status, f.Means, f.Mend = Error, "A newer version has changed the tables so that this one cannot work with them.", "Use the newer version of the command and of the library."
	}
	if f.Status != OK {
		return []Finding{f}
	}
	record := Finding{Check: "mysql.records", Status: OK, Seen: strconv.Itoa(m.Partitions) + " partitions, as recorded"}
	if err := m.Store.Check(ctx, m.Partitions); err != nil {
		record = failed(record.Check, "Workers with this setting do not start.", migrate, err)
		if errors.Is(err, task.ErrMismatch) {
			record.Mend = "Give --partitions the number that is recorded; docs/operations.md says how to change it."
		}
	}
	return []Finding{f, record}
}

// packet compares the longest payload with the longest packet.
func (m MySQL) packet(ctx context.Context) Finding {
	const check = "mysql.packet"
	most, err := m.Store.MaxPayload(ctx)
	if err != nil {
		return unread(check, err)
	}
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("max_allowed_packet takes payloads of %d bytes, MaxPayload is %d", most, m.MaxPayload)}
	if m.MaxPayload > most {
		f.Status, f.Means = Error, "Run refuses to start, because it could not store the longest payload."
		f.Mend = fmt.Sprintf("SET PERSIST max_allowed_packet = %d, and connect again; or lower Options.MaxPayload.", 2*(m.MaxPayload+16<<10))
	}
	return f
}

// mysqlClock compares clocks. The library does not go by this one.
func mysqlClock(ctx context.Context, conn *sql.Conn) Finding {
	const check, most = "mysql.clock", 10 * time.Second
	began := time.Now()
	var micros int64
	if err := conn.QueryRowContext(ctx, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)").Scan(&micros); err != nil {
		return unread(check, err)
	}
	return clock(check, "No task goes by MySQL's clock. But one of the two machines is not synchronised, and due times are computed by its callers.",
		"Synchronise both machines (chrony, systemd-timesyncd).", most, began, time.Now(), time.UnixMicro(micros))
}

// replica looks whether the server is a replica of another one.
func replica(ctx context.Context, conn *sql.Conn) Finding {
	const check = "mysql.replica"
	var denied error
	for _, show := range []string{"SHOW REPLICA STATUS", "SHOW SLAVE STATUS"} { // the second before MySQL 8.0.22 and MariaDB 10.5
		rows, err := conn.QueryContext(ctx, show)
		if err != nil {
			denied = err
			continue
		}
		is := rows.Next()
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return unread(check, err)
		}
		if is {
			return Finding{check, Warning, "the server is configured as a replica of another one",
				"If applications write to the other one, rows are read late here, and a confirmed task may fire again.",
				"Lead --store to the server that takes the writes; no read splitting. If this one was promoted: RESET REPLICA ALL."}
		}
		return Finding{Check: check, Status: OK, Seen: "no replica of another server"}
	}
	return unread(check, denied)
}

// longTransaction looks for a transaction that keeps deleted rows.
func longTransaction(ctx context.Context, conn *sql.Conn) Finding {
	const check = "mysql.transactions"
	var oldest sql.NullInt64
	err := conn.QueryRowContext(ctx, "SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())) FROM information_schema.innodb_trx").Scan(&oldest)
	if err != nil {
		return unread(check, err)
	}
	age := time.Duration(oldest.Int64) * time.Second
	f := Finding{Check: check, Status: OK, Seen: "the oldest open transaction has been open for " + age.String()}
	if age > time.Hour {
		f.Status, f.Means = Warning, "InnoDB keeps all rows that were deleted since, confirmed tasks too, and reads of the window grow slow."
		f.Mend = "Find it in information_schema.innodb_trx, and end it: KILL trx_mysql_thread_id."
	}
	return f
}

// tables looks at the storage engine of the namespace's tables.
func (m MySQL) tables(ctx context.Context, conn *sql.Conn) Finding {
	const check = "mysql.tables"
	rows, err := conn.QueryContext(ctx, "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (?, ?, ?, ?, ?, ?)",
		m.table("task"), m.table("dead"), m.table("done"), m.table("outbox"), m.table("meta"), m.table("migration"))
	if err != nil {
		return unread(check, err)
	}
	defer rows.Close()
	var bad []string
	n := 0
	for ; rows.Next(); n++ {
		var name, engine string
		if err := rows.Scan(&name, &engine); err != nil {
			return unread(check, err)
		}
		if !strings.EqualFold(engine, "InnoDB") {
			bad = append(bad, name+" "+engine)
		}
	}
	if err := rows.Err(); err != nil {
		return unread(check, err)
	}
	if len(bad) > 0 {
		return Finding{check, Error, "other engines than InnoDB: " + strings.Join(bad, ", "), "Without transactions a crash loses tasks, or leaves half of a change.", "ALTER TABLE ... ENGINE = InnoDB"}
	}
	return Finding{Check: check, Status: OK, Seen: fmt.Sprintf("%d tables of the namespace, all InnoDB; ids, headers and payloads are bytes, so no character set applies", n)}
}

func (m MySQL) table(name string) string { return m.Store.Namespace() + "_" + name }
