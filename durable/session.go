package durable

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// This file sets the session of each connection: every variable that changes the meaning of a
// statement, or how long one takes, whatever the DSN, the server's configuration or its
// init_connect say. It takes one statement for each connection.

// lockWait is how long a statement waits, in seconds, for a lock of the whole table, as a
// backup or an ALTER takes it. It is much shorter than the time that a call has, so that a
// statement does not take effect minutes after its call was given up, and no more threads of the server
// wait than calls.
const lockWait = 2

// basics are known to every server.
//
//   - character_set_*: ids and payloads are bytes. Under another set a server may convert,
//     refuse or cut them, and under some (sjis, gbk, big5) it reads an escaped quote differently
//     than the driver that wrote it.
//   - sql_mode: a value that does not fit is an error, never cut. No other mode: they change how
//     strings and operators are read.
//   - innodb_lock_wait_timeout: the least there is, so that a user's transaction
//     on one row holds up a group of callers for one second at most.
//   - autocommit, completion_type: each statement commits, and a COMMIT begins
//     nothing new.
//   - unique_checks: without them a second row of an id could come in.
//   - sql_select_limit: rows that a read left out would be taken for absent.
//   - sql_big_selects: without it max_join_size may refuse a page.
//   - sql_safe_updates: if it is on, some servers refuse a deletion by a list of ids.
//   - max_sort_length: ids are ordered by all their bytes.
//   - time_zone: no statement depends on it, and none will.
var basics = fmt.Sprintf("SET SESSION character_set_client = 'binary', character_set_connection = 'binary', character_set_results = 'binary',"+
	" sql_mode = 'STRICT_ALL_TABLES', lock_wait_timeout = %d, innodb_lock_wait_timeout = 1, autocommit = 1, completion_type = 0,"+
	" unique_checks = 1, sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_safe_updates = 0, max_sort_length = 1024,"+
	" time_zone = '+00:00'", lockWait)

// extras are set where the server knows them.
//
//   - READ COMMITTED: no gap locks, and a retry sees what others committed. The
//     variable's name differs; some servers have both.
//   - read_only: if it is on, each write is refused.
//   - max_execution_time (milliseconds, of reads), and MariaDB's max_statement_time (seconds, of
//     writes too): a statement ends when no caller waits for it any longer.
//   - wsrep_sync_wait: on a cluster (Galera) reads, deletions and updates see what was committed
//     on other nodes before.
//   - group_replication_consistency: the same in a group of MySQL servers. FreshRead tells more
//     (fresh.go).
//   - in_predicate_conversion_threshold, of MariaDB: a list of 1000 ids stays a list, and is not
//     made a table that all tasks are compared with.
//   - range_optimizer_max_mem_size, of MySQL: the same list is looked up in the index.
var extras = [...]struct{ name, value string }{
	{"transaction_isolation", "'READ-COMMITTED'"},
	{"tx_isolation", "'READ-COMMITTED'"},
	{"transaction_read_only", "0"},
	{"tx_read_only", "0"},
	{"max_execution_time", fmt.Sprint(statementTimeout.Milliseconds())},
	{maxStatementTime, fmt.Sprint(statementTimeout.Seconds())},
	{"wsrep_sync_wait", "3"},
	{consistency, "'" + before + "'"},
	{"in_predicate_conversion_threshold", "0"},
	{"range_optimizer_max_mem_size", "8388608"},
}

const maxStatementTime = "max_statement_time"

// isolate is for a server that has no variable for the isolation level.
const isolate = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

// session is what is sent to each new connection.
type session struct {
	stmts   []string // one, as a rule
	extras  map[string]bool
	group   groupModes
	learned time.Time
}

// relearn is after how long a new connection asks its server again which variables it has: the
// server may have been upgraded, or a proxy may lead to another one.
const relearn = time.Minute

// set sets the session of a connection once, and puts it in a mode. A driver's connection that cannot
// be compared with others (a wrapper that is a plain struct) is set each time, and stays fresh.
func (m *MySQL) set(ctx context.Context, conn *sql.Conn, to mode) error {
	key, err := driverConn(conn)
	if err != nil {
		return err
	}
	if l := m.linkOf(key); l != nil {
		return l.turn(ctx, conn, to)
	}
	s, err := m.setAnew(ctx, conn)
	if err != nil || key == nil {
		return err
	}
	l := &link{group: s.group}
	m.remember(key, l)
	return l.turn(ctx, conn, to)
}

// driverConn is the driver's connection, nil if it cannot be compared with others.
func driverConn(conn *sql.Conn) (key any, err error) {
	err = conn.Raw(func(dc any) error {
		if reflect.TypeOf(dc).Comparable() {
			key = dc
		}
		return nil
	})
	return key, err
}

// linkOf is what is known of a driver's connection, nil if nothing is.
func (m *MySQL) linkOf(key any) *link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready[key]
}

func (m *MySQL) setAnew(ctx context.Context, conn *sql.Conn) (*session, error) {
	if s := m.session.Load(); s != nil && time.Since(s.learned) < relearn {
		err := s.set(ctx, conn)
		if number(err) != unknownVar { // otherwise this server has other variables than the one that was asked
			return s, err
		}
	}
	s, err := m.learn(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := s.set(ctx, conn); err != nil {
		return nil, err
	}
	m.session.Store(s)
	return s, nil
}

func (s *session) set(ctx context.Context, conn *sql.Conn) error {
	for _, stmt := range s.stmts {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return nil
}

// learn asks the server which extras it knows. The basics come first: under some settings the
// answer would not be whole.
func (m *MySQL) learn(ctx context.Context, conn *sql.Conn) (*session, error) {
	if _, err := conn.ExecContext(ctx, basics); err != nil {
		return nil, err
	}
	var packet int64
	if err := conn.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&packet); err != nil {
		return nil, err
	}
	m.server.Store(packet)
	m.packet.CompareAndSwap(0, packet)
	names := []string{"version", groupVariable, "wait_timeout"}
	for _, e := range extras {
		names = append(names, e.name)
	}
	has, err := variables(ctx, conn, names...)
	if err != nil {
		return nil, err
	}
	return newSession(has), nil
}

// newSession makes the statement for a server with these variables.
func newSession(has map[string]string) *session {
	s := &session{extras: map[string]bool{}, group: newGroupModes(has), learned: time.Now()}
	text := basics
	for _, e := range extras {
		if _, ok := has[e.name]; !ok {
			continue
		}
		s.extras[e.name] = true
		if e.name == maxStatementTime && !strings.Contains(has["version"], "MariaDB") {
			e.value = "0" // Percona Server 5.6 counts milliseconds
		}
		if e.name == consistency {
			text += ", " + s.group.fresh
			continue
		}
		text += ", " + e.name + " = " + e.value
	}
	s.stmts = []string{text}
	if !s.extras["transaction_isolation"] && !s.extras["tx_isolation"] {
		s.stmts = append(s.stmts, isolate)
	}
	return s
}

// variables returns those of the server's variables that exist.
func variables(ctx context.Context, conn *sql.Conn, names ...string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	vars := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		vars[strings.ToLower(name)] = value
	}
	return vars, rows.Err()
}

// remember notes that key's session is set. The map holds connections strongly,
// so that an address is not used twice; those that were closed go, with all
// others, each time that it holds twice what is open. So a connection is set
// at most about twice, and few dead ones are kept.
func (m *MySQL) remember(key any, l *link) {
	const least = 16
	most := least + 2*m.db.Stats().OpenConnections
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.ready) >= most {
		clear(m.ready)
	}
	m.ready[key] = l
}
