package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// awkward are rows whose bytes a character set or an sql_mode could spoil: multi-byte
// sets take a byte before a quote or backslash for the half of a character.
func awkward() []task.Row {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	var rows []task.Row
	for i, p := range [][]byte{all, []byte("\x95\\\x83\\'\""), []byte("\xbf\\'\xbf'\xbf\\"), []byte("\xa5\\ OR 1=1 -- "), []byte("é表😀\\"), {0xff, 0xfe, 0}, []byte("ends in \x81")} {
		id := []string{"é'\"\\😀 ", "表\\'; --", "ソ\\", "\u00a5", "trailing  ", "\\", "ÿ%_"}[i]
		rows = append(rows, task.Row{Ref: task.Ref{ID: id, Ver: int64(i + 1)}, NextMS: 5, DueMS: 5, Payload: p})
	}
	return rows
}

// bytesStay creates awkward rows, finds them as they were by every verb, and deletes them.
func bytesStay(t *testing.T, db *sql.DB) {
	t.Helper()
	s := migrated(t, db)
	rows := awkward()
	want := map[string]string{}
	var ids []string
	var refs []task.Ref
	for _, r := range rows {
		want[r.ID] = string(r.Payload)
		ids, refs = append(ids, r.ID), append(refs, r.Ref)
	}
	if err := s.Create(t.Context(), rows); err != nil {
		t.Fatalf("Create: %v", err)
	}
	got, err := s.Get(t.Context(), ids)
	page, serr := s.Scan(t.Context(), task.Cursor{}, 10, 100, 1000)
	if err != nil || serr != nil || len(got) != len(rows) || len(page) != len(rows) {
		t.Errorf("of %d rows Get returned %d, %v; Scan %d, %v", len(rows), len(got), err, len(page), serr)
	}
	for _, r := range append(got, page...) {
		if p, ok := want[r.ID]; !ok || p != string(r.Payload) {
			t.Errorf("task %q came back with payload %q, want %q", r.ID, r.Payload, p)
		}
	}
	if !slices.IsSortedFunc(page, func(a, b task.Row) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("Scan is not in the order of the bytes of ids")
	}
	if moved, err := s.Move(t.Context(), refs[0], task.Row{Ref: task.Ref{ID: ids[0], Ver: 99}, NextMS: 5}); !moved || err != nil {
		t.Errorf("Move: %v, %v", moved, err)
	}
	refs[0].Ver = 99
	if deleted, err := s.Delete(t.Context(), refs); err != nil || slices.Contains(deleted, false) {
		t.Errorf("Delete: %v, %v", deleted, err)
	}
}

// The DSN says how bytes are to be read: nothing comes of it.
func TestBytesStayUnderAnyCharacterSet(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		server := testserver.Shared(t, kind)
		for _, params := range []string{
			"charset=sjis", "charset=gbk", "charset=big5", "charset=latin1", "charset=utf8mb4&collation=utf8mb4_bin",
			"character_set_client=latin1&collation_connection=%27utf8mb4_bin%27", "character_set_connection=ascii&character_set_results=ucs2",
			"sql_mode=%27NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE%27&max_sort_length=4",
		} {
			for _, interpolate := range []string{"", "&interpolateParams=true"} {
				t.Run(params+interpolate, func(t *testing.T) { bytesStay(t, server.DB(t, params+interpolate)) })
			}
		}
		if server.Kind == testserver.MariaDB {
			for _, mode := range []string{"ORACLE", "MSSQL", "EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT"} {
				t.Run(mode, func(t *testing.T) { bytesStay(t, server.DB(t, "interpolateParams=true&sql_mode=%27"+mode+"%27")) })
			}
		}
	})
}

// hostile are settings of a server that init_connect and its defaults impose on users.
var hostile = []string{
	"character_set_client = gbk", "character_set_connection = latin1", "character_set_results = sjis", "sql_mode = 'NO_BACKSLASH_ESCAPES'",
	"lock_wait_timeout = 31536000", "innodb_lock_wait_timeout = 1000", "sql_select_limit = 1", "max_sort_length = 8", "time_zone = '-05:00'",
	"autocommit = 0", "completion_type = 1", "unique_checks = 0", "sql_safe_updates = 1",
}

// hostileOf are those that only some servers have, by their own word.
var hostileOf = map[string]string{"max_execution_time": "1000", "max_statement_time": "1", "tx_read_only": "1", "transaction_read_only": "1",
	"tx_isolation": "'SERIALIZABLE'", "transaction_isolation": "'SERIALIZABLE'", "wsrep_sync_wait": "0", "range_optimizer_max_mem_size": "1"}

// The server imposes a session on each client, and does not listen to what the client
// says of its character set. What changes a statement's meaning or length is the library's.
func TestTheSessionIsOurs(t *testing.T) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := testserver.Own(t, kind, "--loose-skip-character-set-client-handshake", "--character-set-server=latin1")
			root := server.DB(t, "")
			var name string
			if err := root.QueryRow("SELECT DATABASE()").Scan(&name); err != nil {
				t.Fatal(err)
			}
			for _, host := range []string{"%", "localhost"} { // init_connect is not for root
				exec(t, root, "CREATE USER 'th_user'@'"+host+"'", "GRANT ALL ON `"+name+"`.* TO 'th_user'@'"+host+"'")
			}
			impose := slices.Clone(hostile)
			for v, to := range hostileOf {
				if _, err := root.Exec("SET SESSION " + v + " = " + to); err == nil {
					impose = append(impose, v+" = "+to)
				}
			}
			exec(t, root, `SET GLOBAL init_connect = "SET SESSION `+strings.Join(impose, ", ")+`"`)
			db := as(t, server, "th_user", name)
			db.SetMaxOpenConns(1)
			bytesStay(t, db)
			works(t, open(t, db))
			for v, want := range map[string]string{"character_set_client": "binary", "character_set_connection": "binary", "sql_mode": "STRICT_ALL_TABLES",
				"lock_wait_timeout": "2", "innodb_lock_wait_timeout": "1", "max_sort_length": "1024", "time_zone": "+00:00", "autocommit": "ON",
				"max_execution_time": "10000", "max_statement_time": "10.000000", "tx_read_only": "OFF", "transaction_read_only": "OFF",
				"tx_isolation": "READ-COMMITTED", "transaction_isolation": "READ-COMMITTED", "wsrep_sync_wait": "3", "range_optimizer_max_mem_size": "8388608"} {
				var is, got string
				err := db.QueryRow("SHOW SESSION VARIABLES LIKE '"+v+"'").Scan(&is, &got)
				if errors.Is(err, sql.ErrNoRows) && hostileOf[v] != "" {
					continue // this server has none
				}
				if err != nil || got != want {
					t.Errorf("%s is %q, %v; want %q", v, got, err, want)
				}
			}
		})
	}
}

// A new connection costs one statement, also at a server that has other variables than the
// one that was asked: it is asked anew.
func TestANewConnectionIsSetInOneStatement(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		another := func() []call {
			w.db.SetMaxIdleConns(0) // closes those that there are
			w.db.SetMaxIdleConns(2)
			w.take()
			if _, err := s.Versions(t.Context(), []string{"a"}); err != nil {
				t.Fatal(err)
			}
			return w.take()
		}
		if sent := another(); len(sent) != 2 || !strings.HasPrefix(sent[0].stmt, "SET SESSION") {
			t.Errorf("a new connection and a question sent %v, want one SET before the question", sent)
		}
		w.answer(&mysql.MySQLError{Number: 1193, Message: "Unknown system variable 'tx_isolation'"}, 1, "SET SESSION")
		if sent := another(); len(sent) != 6 {
			t.Errorf("a server with other variables was sent %v, want its variables asked, and set", sent)
		}
		w.mend()
		name, level := "tx_isolation", ""
		if w.kind == testserver.MySQL {
			name = "transaction_isolation"
		}
		if err := w.db.QueryRow("SELECT @@" + name).Scan(&level); err != nil || level != "READ-COMMITTED" {
			t.Errorf("the isolation is %q, %v", level, err)
		}
	})
}

// While others hold the table its callers give up together, in one wait and not one after
// another; so many threads wait at the server, and nothing lands once the table is free.
func TestALockedTableEndsItsCallersTogether(t *testing.T) {
	for _, kind := range sqlKinds {
		for _, how := range []string{"LOCK TABLES t_task WRITE", "FLUSH TABLES WITH READ LOCK"} {
			name := string(kind)
			if strings.HasPrefix(how, "FLUSH") {
				if name += "/flush"; kind == testserver.MySQL56 {
					continue
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				server := testserver.Shared(t, kind)
				if strings.HasPrefix(how, "FLUSH") {
					server = testserver.Own(t, kind) // it holds up all databases
				}
				lockedTable(t, server, how)
			})
		}
	}
}

func lockedTable(t *testing.T, server *testserver.Server, how string) {
	s, w := wiredOn(t, server)
	holder, err := w.open(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := holder.ExecContext(t.Context(), how); err != nil {
		t.Fatal(err)
	}
	w.take()
	const callers = 40
	w.failAfter("INSERT", 9) // callers that wait one after another need minutes to end
	each(t, callers, func(i int) error {
		err := s.Create(context.Background(), []task.Row{{Ref: task.Ref{ID: fmt.Sprint(i), Ver: task.NewVer()}}})
		if !errors.Is(err, task.ErrUnavailable) || !strings.Contains(err.Error(), "table is locked") {
			return fmt.Errorf("Create while the table is held: %w, want ErrUnavailable that says so", err)
		}
		return nil
	})
	if n := len(w.calls("INSERT")); n > 8 {
		t.Errorf("%d callers sent %d statements, want few: they share them", callers, n)
	}
	var waiting, rows int
	if err := holder.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for%lock%' AND db = DATABASE()").Scan(&waiting); err != nil || waiting > 0 {
		t.Errorf("%d threads wait for calls that are over, %v", waiting, err)
	}
	w.mend()
	if _, err := holder.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	<-time.After(200 * time.Millisecond)
	if err := holder.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM t_task").Scan(&rows); err != nil || rows > 0 {
		t.Errorf("%d rows of calls that had failed are there, %v", rows, err)
	}
	if err := s.Create(t.Context(), []task.Row{{Ref: task.Ref{ID: "later", Ver: 1}}}); err != nil {
		t.Errorf("Create once the table is free: %v", err)
	}
}
