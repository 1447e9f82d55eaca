package durable_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// wire is the driver with a tap on its statements: it notes them, and loses the
// connection before or after the one that a test chooses.
type wire struct {
	driver.Connector
	mu   sync.Mutex
	db   *sql.DB // the pool
	kind testserver.Kind
	cfg  *mysql.Config
	sent []call
	lose func(s call) (before, after bool)
	fail func(s call) error // answered in place of the server, unless nil
	hold func(s call) error // the same, and it may wait meanwhile
	errs []uint16           // the server's, by number
}

// call is a statement as it was sent, and the arguments of that before it on its connection.
type call struct {
	stmt   string
	args   []any
	before []any
}

// open returns a pool of its own on the same database, which is not tapped.
func (w *wire) open(t *testing.T) *sql.DB {
	t.Helper()
	cfg := w.cfg.Clone()
	if w.kind == testserver.MariaDB { // as the store sets it
		cfg.Params = map[string]string{"in_predicate_conversion_threshold": "0"}
	}
	real, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(real)
	t.Cleanup(func() { db.Close() })
	return db
}

func (w *wire) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &wireConn{realConn: c.(realConn), w: w}, nil
}

// tap runs f, which sends stmt.
func (w *wire) tap(c *wireConn, stmt string, args []driver.NamedValue, f func() error) error {
	sent := call{stmt: stmt, before: c.args}
	for _, a := range args {
		sent.args = append(sent.args, a.Value)
	}
	c.args = sent.args
	w.mu.Lock()
	w.sent = append(w.sent, sent)
	before, after := false, false
	if w.lose != nil {
		before, after = w.lose(sent)
	}
	var failed error
	if w.fail != nil {
		failed = w.fail(sent)
	}
	hold := w.hold
	w.mu.Unlock()
	if hold != nil && failed == nil {
		failed = hold(sent)
	}
	if failed != nil {
		return failed
	}
	if before {
		c.Close()
		return mysql.ErrInvalidConn
	}
	err := f()
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		w.mu.Lock()
		w.errs = append(w.errs, my.Number)
		w.mu.Unlock()
	}
	if after && err == nil {
		c.Close()
		return mysql.ErrInvalidConn
	}
	return err
}

// loseOnce loses one connection at the first statement with that beginning.
func (w *wire) loseOnce(prefix string, before bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := false
	w.lose = func(s call) (bool, bool) {
		if done || !strings.HasPrefix(s.stmt, prefix) {
			return false, false
		}
		done = true
		return before, !before
	}
}

// cut loses the connection after the first statement with that beginning, and all
// others from then on before theirs.
func (w *wire) cut(prefix string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := false
	w.lose = func(s call) (bool, bool) {
		if !gone && strings.HasPrefix(s.stmt, prefix) {
			gone = true
			return false, true
		}
		return gone, false
	}
}

// failAfter fails all statements with that beginning but the first n.
func (w *wire) failAfter(prefix string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = func(s call) error {
		if !strings.HasPrefix(s.stmt, prefix) {
			return nil
		}
		if n--; n < 0 {
			return fmt.Errorf("too many statements begin with %s", prefix)
		}
		return nil
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose, w.fail = nil, nil
}

// take returns what was sent since the last take.
func (w *wire) take() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// calls returns those of what was sent since the last take that begin so.
func (w *wire) calls(prefix string) []call {
	return slices.DeleteFunc(w.take(), func(c call) bool { return !strings.HasPrefix(c.stmt, prefix) })
}

type realConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnPrepareContext
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
}

type wireConn struct {
	realConn
	w    *wire
	args []any // of the last statement
}

func (c *wireConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (res driver.Result, err error) {
	err = c.w.tap(c, q, args, func() error { res, err = c.realConn.ExecContext(ctx, q, args); return err })
	return res, err
}

func (c *wireConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.w.tap(c, q, args, func() error { rows, err = c.realConn.QueryContext(ctx, q, args); return err })
	return rows, err
}

func (c *wireConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	var tx driver.Tx
	err := c.w.tap(c, "BEGIN", nil, func() (err error) { tx, err = c.realConn.BeginTx(ctx, o); return err })
	return &wireTx{tx, c}, err
}

type wireTx struct {
	driver.Tx
	c *wireConn
}

func (t *wireTx) Commit() error { return t.c.w.tap(t.c, "COMMIT", nil, t.Tx.Commit) }

// wired returns a migrated store whose driver is tapped.
func wired(t *testing.T, kind testserver.Kind) (*durable.MySQL, *wire) {
	t.Helper()
	return wiredOn(t, testserver.Shared(t, kind))
}

func wiredOn(t *testing.T, server *testserver.Server) (*durable.MySQL, *wire) {
	t.Helper()
	w := tapped(t, server, server.Database(t))
	return migrated(t, w.db), w
}

// tapped opens a database through a driver that is tapped.
func tapped(t *testing.T, server *testserver.Server, name string) *wire {
	t.Helper()
	cfg, err := mysql.ParseDSN(server.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	cfg.InterpolateParams = true
	real, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Connector: real, kind: server.Kind, cfg: cfg}
	w.db = sql.OpenDB(w)
	t.Cleanup(func() { w.db.Close() })
	return w
}

func migrated(t *testing.T, db *sql.DB) *durable.MySQL {
	t.Helper()
	s := open(t, db)
	if err := s.Migrate(t.Context(), 1); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	return s
}

func numbered(n int) ([]task.Row, []task.Ref) {
	rows, refs := make([]task.Row, n), make([]task.Ref, n)
	for i := range rows {
		refs[i] = task.Ref{ID: fmt.Sprintf("task-%05d", i), Ver: 1<<40 + int64(i)}
		rows[i] = task.Row{Ref: refs[i], NextMS: int64(i % 7)}
	}
	return rows, refs
}

func eachKind(t *testing.T, f func(t *testing.T, kind testserver.Kind)) {
	for _, kind := range sqlKinds {
		t.Run(string(kind), func(t *testing.T) { f(t, kind) })
	}
}

// Whatever statement the connection is lost at, before or after the server has
// done it, each call tells the truth.
func TestALostAnswerDoesNotMakeCallsLie(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		for _, at := range []string{"INSERT", "BEGIN", "COMMIT", "DELETE", "UPDATE", "SELECT"} {
			for _, before := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/before=%v", at, before), func(t *testing.T) { lieDetector(t, s, w, at, before) })
			}
		}
	})
}

// The answer to a Create is lost. What of its tasks is deleted or moved before the next try stays so,
// and the Create has succeeded.
func TestARepeatedCreateBringsNothingBack(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		other := open(t, w.open(t))
		rows, refs := numbered(4)
		for i := range rows {
			rows[i].NextMS = task.MaxDue // not below the low bound, which takes a transaction
		}
		tries := 0
		w.hold = func(c call) error {
			if !strings.HasPrefix(c.stmt, "INSERT") {
				return nil
			}
			if tries++; tries != 2 {
				return nil
			}
			if gone, err := other.Delete(t.Context(), refs[3:]); err != nil || !gone[0] {
				return fmt.Errorf("delete: %v, %w", gone, err)
			}
			moved, err := other.Move(t.Context(), refs[2], task.Row{Ref: task.Ref{ID: refs[2].ID, Ver: 5}, NextMS: task.MaxDue})
			if !moved {
				return fmt.Errorf("move: %t, %w", moved, err)
			}
			return nil
		}
		w.loseOnce("INSERT", false)
		if err := s.Create(t.Context(), rows); err != nil || tries < 2 {
			t.Errorf("Create, in %d tries: %v", tries, err)
		}
		got, err := s.Versions(t.Context(), ids(refs))
		slices.SortFunc(got, func(a, b task.Ref) int { return strings.Compare(a.ID, b.ID) })
		if want := []task.Ref{refs[0], refs[1], {ID: refs[2].ID, Ver: 5}}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%v stand, %v; want %v", got, err, want)
		}
	})
}

func lieDetector(t *testing.T, s *durable.MySQL, w *wire, at string, before bool) {
	ctx := t.Context()
	rows, refs := numbered(1500)
	check := func(act string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", act, err)
		}
	}
	w.loseOnce(at, before)
	check("Create one", s.Create(ctx, rows[:1]))
	w.loseOnce(at, before)
	check("Create of two statements", s.Create(ctx, rows[1:]))
	w.loseOnce(at, before)
	got, err := s.Get(ctx, []string{refs[0].ID, refs[1400].ID})
	check("Get", err)
	if len(got) != 2 {
		t.Errorf("Get returned %d rows, want 2", len(got))
	}
	to := task.Row{Ref: task.Ref{ID: refs[0].ID, Ver: 5}, NextMS: 3}
	w.loseOnce(at, before)
	moved, err := s.Move(ctx, refs[0], to)
	check("Move", err)
	if !moved {
		t.Error("Move answered false")
	}
	refs[0] = to.Ref
	w.loseOnce(at, before)
	ghosts := []task.Ref{{ID: "ghost-a", Ver: 7}, {ID: "ghost-b", Ver: 8}}
	deleted, err := s.Delete(ctx, append(slices.Clone(refs[:600]), ghosts...))
	check("Delete", err)
	if n := slices.Index(deleted, false); n != 600 || deleted[601] {
		t.Errorf("Delete of 600 rows and two that never were: first false at %d, last %v", n, deleted[601])
	}
	w.loseOnce(at, before)
	deleted, err = s.Delete(ctx, refs[600:601])
	check("Delete one", err)
	if !deleted[0] {
		t.Error("Delete of one row answered false")
	}
	w.loseOnce(at, before)
	byID, err := s.DeleteByID(ctx, append(ids(refs[601:700]), "ghost-a", "ghost-b"), task.MaxDue)
	check("DeleteByID", err)
	if len(byID) != 99 {
		t.Errorf("DeleteByID of 99 rows and two that never were returned %d", len(byID))
	}
	w.loseOnce(at, before)
	byID, err = s.DeleteByID(ctx, ids(refs[700:701]), task.MaxDue)
	check("DeleteByID one", err)
	if len(byID) != 1 || byID[0].Ref != refs[700] {
		t.Errorf("DeleteByID of one row returned %v", byID)
	}
	w.loseOnce(at, before)
	deleted, err = s.Delete(ctx, refs[701:])
	check("Delete the rest", err)
	if slices.Contains(deleted, false) {
		t.Error("Delete of the rest answered a false")
	}
	if n, _, err := s.Count(ctx, 10); n != 0 || err != nil {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

func ids(refs []task.Ref) []string {
	all := make([]string, len(refs))
	for i, r := range refs {
		all[i] = r.ID
	}
	return all
}

// Another node's transaction was first: Galera, Group Replication.
func TestALostCertificationIsTriedAgain(t *testing.T) {
	s, w := wired(t, testserver.MySQL56)
	rows, _ := numbered(1)
	w.answer(&mysql.MySQLError{Number: 3101, Message: "of a cluster"}, 1, "INSERT", "COMMIT")
	if err := s.Create(t.Context(), rows); err != nil {
		t.Errorf("Create lost to another node's transaction once: %v", err)
	}
}

// A caller alone pays one statement, and no caller pays for the session again.
func TestOneCallIsOneStatement(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows, refs := numbered(1)
		for range 2 {
			w.take()
			if err := s.Create(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Delete(t.Context(), refs); err != nil {
				t.Fatal(err)
			}
		}
		if sent := w.take(); len(sent) != 2 {
			t.Errorf("Create and Delete sent %d statements: %v", len(sent), sent)
		}
	})
}

// Calls that come together share statements.
func TestCallsThatComeTogetherShareStatements(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		rows, refs := numbered(2000)
		w.take()
		each(t, len(rows), func(i int) error { return s.Create(t.Context(), rows[i:i+1]) })
		each(t, len(refs), func(i int) error {
			got, err := s.Delete(t.Context(), refs[i:i+1])
			if err == nil && !got[0] {
				err = fmt.Errorf("row %d was not deleted", i)
			}
			return err
		})
		if n := len(w.take()); n > 1000 {
			t.Errorf("4000 calls at once sent %d statements", n)
		}
	})
}

// each calls f for 0 to n-1 at once.
func each(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
