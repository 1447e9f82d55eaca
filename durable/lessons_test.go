package durable_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// What went wrong in other schedulers: see the table in docs/reliability.md.

// A deletion that the server ends to break a deadlock is tried again, and its
// caller hears nothing of it.
func TestADeadlockIsTriedAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		db := w.open(t)
		rows, refs := numbered(2)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		do := func(stmt string, args ...any) {
			t.Helper()
			if _, err := tx.Exec(stmt, args...); err != nil {
				t.Fatalf("%s: %v", stmt, err)
			}
		}
		for i := range 20 { // it has written more than the deletion, so that it is not the one to be ended
			do("INSERT INTO t_task (next_ms, id, due_ms, ver, created_ms) VALUES (1000, ?, 1000, 1, 0)", "ballast-"+strconv.Itoa(i))
		}
		do("SELECT id FROM t_task FORCE INDEX (PRIMARY) WHERE next_ms = ? FOR UPDATE", rows[0].NextMS)
		deleted := make(chan error, 1)
		go func() {
			for {
				_, err := s.Delete(context.Background(), refs[:1])
				var my *mysql.MySQLError
				if !errors.As(err, &my) || my.Number != 1205 { // else it waited for the lock in vain: this test was slow
					deleted <- err
					return
				}
			}
		}()
		waiting(t, db)
		do("SELECT id FROM t_task FORCE INDEX (id) WHERE id = ? FOR UPDATE", []byte(refs[0].ID))
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := <-deleted; err != nil {
			t.Errorf("Delete: %v", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.Contains(w.errs, 1213) {
			t.Errorf("there was no deadlock, but errors %v", w.errs)
		}
	})
}

// waiting returns once a transaction waits for a lock. (Servers renew what they tell of
// transactions only if no client has asked for 100 ms.)
func waiting(t *testing.T, db *sql.DB) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(150 * time.Millisecond) {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("no transaction waits for a lock")
}

// pagesRead is how many pages the server looks at for one scan.
func pagesRead(t *testing.T, db *sql.DB, s *durable.MySQL, after task.Cursor) int {
	t.Helper()
	count := func() (n int) {
		var name string
		if err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_read_requests'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	if rows, err := s.Scan(t.Context(), after, 1<<40, 10, 0); err != nil || len(rows) != 10 {
		t.Fatalf("Scan: %d rows, %v", len(rows), err)
	}
	return count() - before
}

// Deleted rows stay in the index until they are purged, which a long transaction of
// another client holds up. A scan begins at its bound, and does not wade through
// those before it.
func TestAScanDoesNotWadeThroughDeletedRows(t *testing.T) {
	server := testserver.Own(t, testserver.MySQL)
	db := server.DB(t, "interpolateParams=true")
	s := migrated(t, db)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, stmt := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"} {
		if _, err := conn.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	const n = 40_000
	rows, refs := numbered(n)
	for i := range rows {
		rows[i].NextMS = int64(i)
	}
	const lot = 1000
	each(t, n/lot, func(i int) error { return s.Create(t.Context(), rows[i*lot:(i+1)*lot]) })
	each(t, n/lot-1, func(i int) error {
		_, err := s.Delete(t.Context(), refs[i*lot:(i+1)*lot])
		return err
	})
	from := pagesRead(t, db, s, task.Cursor{NextMS: n - lot})
	whole := pagesRead(t, db, s, task.Cursor{})
	if from > 200 || whole < 5*from {
		t.Errorf("a scan from its bound on looks at %d pages, one from the beginning at %d: want few, and many", from, whole)
	}
}
