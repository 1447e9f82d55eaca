package durable_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// pagesOf returns how many pages the server reads for f, from memory or from disk.
func pagesOf(t *testing.T, db *sql.DB, f func()) int64 {
	t.Helper()
	read := func() (n int64) {
		var name string
		if err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_read_requests'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := read()
	f()
	return read() - before
}

// deadRows makes n rows that are dead: they were due an hour ago and are deleted, and a
// transaction that began before them may still see them.
func deadRows(t *testing.T, s *durable.MySQL, db *sql.DB, n int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, stmt := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
		if _, err := conn.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	rows, refs := numbered(n)
	for i := range rows {
		rows[i].NextMS = hourAgo() + int64(i)
	}
	for i := 0; i < n; i += 1000 {
		mustCreate(t, s, rows[i:min(i+1000, n)])
	}
	if _, err := s.Delete(t.Context(), refs); err != nil {
		t.Fatal(err)
	}
}

func hourAgo() int64 { return time.Now().Add(-time.Hour).UnixMilli() }

func advance(t *testing.T, s *durable.MySQL, later time.Duration) {
	t.Helper()
	s.Later(later)
	if err := s.Advance(t.Context(), time.Now().Add(later).UnixMilli()); err != nil {
		t.Fatalf("Advance: %v", err)
	}
}

func scanned(t *testing.T, s *durable.MySQL) (ids []string) {
	t.Helper()
	rows, err := s.Scan(t.Context(), task.Cursor{}, task.MaxDue, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// Behind an old transaction lie 40,000 dead rows. Once the bound has passed them, an audit, the
// first scan of a generation and a count read some pages, and so does the next Advance.
func TestReadsDoNotMeetDeadRowsTwice(t *testing.T) {
	server := testserver.Own(t, testserver.MySQL, "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0")
	db := server.DB(t, "interpolateParams=true")
	s := migrated(t, db)
	deadRows(t, s, db, 40_000)
	scan := func() { scanned(t, s) }
	if n := pagesOf(t, db, scan); n < 150 {
		t.Fatalf("a scan of 40,000 dead rows reads %d pages: they are gone, and this test shows nothing", n)
	}
	advance(t, s, 2*time.Minute)
	// The server knows that nearly all rows are dead, as it does some seconds later by itself.
	if _, err := db.ExecContext(t.Context(), "ANALYZE TABLE t_task"); err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func(){
		"a scan": scan,
		"a count": func() {
			if n, exact, err := s.Count(t.Context(), 100_000); n != 0 || !exact || err != nil {
				t.Errorf("Count: %d, %t, %v; want exactly 0", n, exact, err)
			}
		},
		"the next Advance":       func() { advance(t, s, 3*time.Minute) },
		"another process's scan": func() { scanned(t, open(t, db)) },
	} {
		if n := pagesOf(t, db, f); n > 60 {
			t.Errorf("%s reads %d pages", what, n)
		}
	}
	// A row far below the bound is seen at once, and the rows behind it are not read again.
	mustCreate(t, s, []task.Row{{Ref: task.Ref{ID: "old", Ver: 1}, NextMS: 5}})
	if got := scanned(t, open(t, db)); !slices.Equal(got, []string{"old"}) {
		t.Errorf("scanned %q after a row was created below the bound", got)
	}
}

// crowded has the server cut off each look into a range that has more than most of the n
// milliseconds from crowd on, as if each was full of dead rows.
func crowded(w *wire, crowd, n, most int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = func(c call) error {
		if !strings.Contains(c.stmt, "MAX_EXECUTION_TIME") {
			return nil
		}
		from, end := c.args[0].(int64), c.args[1].(int64)
		if min(end, crowd+n)-max(from, crowd) > most {
			return &mysql.MySQLError{Number: 3024, Message: "Query execution was interrupted, maximum statement execution time exceeded"}
		}
		return nil
	}
}

// The bound passes many dead rows in steps that the server does not cut off, and so does a sweep: no call of
// Advance waits for it more than twice, and what is passed stays passed.
func TestAdvanceGoesOnInSmallerSteps(t *testing.T) {
	s, w := wired(t, testserver.MySQL)
	db := w.open(t)
	crowd := hourAgo() - 100_000
	crowded(w, crowd, 100_000, 10_000)
	rounds := func(later time.Duration, done func() bool) (n int) {
		for ; !done() && n < 200; n++ {
			w.take()
			advance(t, s, later)
			cut := 0
			for _, c := range w.take() {
				if strings.Contains(c.stmt, "MAX_EXECUTION_TIME") && min(c.args[1].(int64), crowd+100_000)-max(c.args[0].(int64), crowd) > 10_000 {
					cut++
				}
			}
			if cut > 2 {
				t.Fatalf("one Advance was cut off %d times", cut)
			}
		}
		return n
	}
	low := func() int64 {
		ms, err := s.Low(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	if n := rounds(0, func() bool { return low() >= crowd+100_000 }); n < 3 || n > 100 {
		t.Errorf("the bound passed the crowd in %d calls", n)
	}
	if _, err := db.Exec("INSERT INTO t_task (next_ms, id, due_ms, ver, created_ms) VALUES (?, 'stray', 1, 1, 1)", crowd+90_000); err != nil {
		t.Fatal(err)
	}
	if got := scanned(t, s); len(got) != 0 {
		t.Fatalf("scanned %q: the bound is not above the crowd, and this test shows nothing", got)
	}
	if n := rounds(30*time.Minute, func() bool { return len(scanned(t, s)) == 1 }); n < 3 || n > 150 {
		t.Errorf("the sweep found a row behind the crowd in %d calls", n)
	}
}

// raised returns two stores of one database, as of two processes, the bound of which is some seconds
// behind now. The wire is the first one's.
func raised(t *testing.T, kind testserver.Kind) (*durable.MySQL, *wire, *durable.MySQL) {
	t.Helper()
	s, w := wired(t, kind)
	db := w.open(t)
	deadRows(t, open(t, db), db, 3000) // by a third process, for its hold would be over by then
	other := open(t, db)
	advance(t, other, 2*time.Minute)
	if ms, err := other.Low(t.Context()); err != nil || ms < hourAgo()+3000 {
		t.Fatalf("the bound is %d, %v: it did not pass the dead rows, and this test shows nothing", ms, err)
	}
	other.Later(0)
	return s, w, other
}

func sees(t *testing.T, s *durable.MySQL, id string) {
	t.Helper()
	if got := scanned(t, s); !slices.Contains(got, id) {
		ms, err := s.Low(t.Context())
		t.Errorf("a scan from the start finds %q, and not %q; the bound is %d, %v", got, id, ms, err)
	}
	if n, _, err := s.Count(t.Context(), 1000); n == 0 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
}

// pause has the first statement that begins so wait until goOn is called, and tells when it does.
func (w *wire) pause(prefix string) (paused <-chan struct{}, goOn func()) {
	at, on := make(chan struct{}), make(chan struct{})
	done := false
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = func(c call) error {
		w.mu.Lock()
		mine := !done && strings.HasPrefix(c.stmt, prefix)
		done = done || mine
		w.mu.Unlock()
		if mine {
			close(at)
			<-on
		}
		return nil
	}
	return at, func() { close(on) }
}

func oldRow(id string) []task.Row {
	return []task.Row{{Ref: task.Ref{ID: id, Ver: 7}, NextMS: hourAgo() + 100}}
}

// Whatever a writer and a raiser of the bound do at the same time: once the writer has its
// answer, a read from the start meets its row.
func TestNoRowIsBelowTheLowBound(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL)
		}{
			{"a row below the bound is created", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				mustCreate(t, s, oldRow("a"))
				advance(t, other, 0)
				sees(t, other, "a")
			}},
			{"a row is moved below the bound", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				rows := oldRow("a")
				rows[0].NextMS = time.Now().UnixMilli()
				mustCreate(t, s, rows)
				to := oldRow("a")[0]
				to.Ver = 8
				if ok, err := s.Move(t.Context(), rows[0].Ref, to); !ok || err != nil {
					t.Fatalf("Move: %t, %v", ok, err)
				}
				sees(t, other, "a")
			}},
			{"the bound would be raised while the row is on its way", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				paused, goOn := w.pause("INSERT INTO `t_task`")
				made := make(chan error, 1)
				go func() { made <- s.Create(t.Context(), oldRow("a")) }()
				<-paused
				advance(t, other, 0)
				if ms, err := other.Low(t.Context()); err != nil || ms > oldRow("a")[0].NextMS { // its writer may die right after the commit
					t.Errorf("the bound is %d, %v, above a row that is on its way", ms, err)
				}
				goOn()
				if err := <-made; err != nil {
					t.Fatal(err)
				}
				s.Later(10 * time.Minute) // what its writer did afterwards shall not matter
				sees(t, other, "a")
			}},
			{"a writer holds the bound while it is raised", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				paused, goOn := w.pause("UPDATE `t_meta`")
				s.Later(4 * time.Minute)
				raised := make(chan error, 1)
				go func() { raised <- s.Advance(t.Context(), time.Now().Add(4*time.Minute).UnixMilli()) }()
				<-paused // it has looked for rows
				if err := other.Create(t.Context(), oldRow("a")); err != nil {
					t.Fatal(err)
				}
				goOn()
				if err := <-raised; err != nil {
					t.Fatal(err)
				}
				sees(t, other, "a")
			}},
			{"a recent row's commit comes late", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				paused, goOn := w.pause("INSERT INTO `t_task`")
				rows := oldRow("a")
				rows[0].NextMS = time.Now().UnixMilli()
				made := make(chan error, 1)
				go func() { made <- s.Create(t.Context(), rows) }()
				<-paused
				deadRows(t, other, w.open(t), 0)
				fresh, refs := numbered(1000)
				for i := range fresh {
					fresh[i].ID, fresh[i].NextMS = fmt.Sprint("dead-", i), time.Now().UnixMilli()
					refs[i].ID = fresh[i].ID
				}
				mustCreate(t, other, fresh)
				if _, err := other.Delete(t.Context(), refs); err != nil {
					t.Fatal(err)
				}
				advance(t, other, 5*time.Minute)
				s.Later(5 * time.Minute)
				goOn()
				if err := <-made; err != nil {
					t.Fatal(err)
				}
				sees(t, other, "a")
			}},
			{"a writer's clock is behind", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				s.Later(-2 * time.Hour)
				if _, err := s.Records(t.Context()); err != nil { // as a creator does from time to time
					t.Fatal(err)
				}
				rows := oldRow("a")
				mustCreate(t, s, rows)
				sees(t, other, "a")
			}},
			{"a writer of an older version comes", func(t *testing.T, s *durable.MySQL, w *wire, other *durable.MySQL) {
				if _, err := w.open(t).Exec("INSERT INTO t_task (next_ms, id, due_ms, ver, created_ms) VALUES (?, 'a', 1, 1, 1)", hourAgo()+100); err != nil {
					t.Fatal(err)
				}
				advance(t, other, 30*time.Minute)
				sees(t, other, "a")
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				s, w, other := raised(t, kind)
				c.test(t, s, w, other)
			})
		}
	})
}

// An idle namespace is seldom written to: an Advance that would raise the bound by little does
// not, nor one for which a row stands in the way.
func TestAnIdleBoundIsSeldomWritten(t *testing.T) {
	s, w := wired(t, testserver.MySQL)
	written := func(later time.Duration) bool {
		w.take()
		advance(t, s, later)
		return slices.ContainsFunc(w.take(), func(c call) bool { return !strings.HasPrefix(c.stmt, "SELECT") && !strings.HasPrefix(c.stmt, "/*M!") })
	}
	for i, want := range []bool{true, false, false, true} {
		if got := written(time.Duration(i) * 4 * time.Second); got != want {
			t.Errorf("%d s later Advance writes: %t, want %t", 4*i, got, want)
		}
	}
	rows, _ := numbered(10)
	mustCreate(t, s, rows)
	for later := 2; later < 8; later++ {
		if written(time.Duration(later) * time.Minute) {
			t.Errorf("Advance writes though a row stands at the bound")
		}
	}
}

// What is recorded by a newer library, or damaged, is not guessed at.
func TestAnUnknownLowBoundIsRefused(t *testing.T) {
	s, w := wired(t, testserver.MySQL)
	for _, value := range []string{"", "1 2 3", "1 2 3 4 5 6 7", "1 2 3 4 5 x", " 1 2 3 4 5 6"} {
		if _, err := w.open(t).Exec("REPLACE INTO t_meta (name, value) VALUES ('low_bound', ?)", value); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Scan(t.Context(), task.Cursor{}, 100, 10, 0); err == nil || !strings.Contains(err.Error(), "low bound") {
			t.Errorf("with %q recorded Scan answers %v, want an error that says so", value, err)
		}
	}
}
