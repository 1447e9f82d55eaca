package durable_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// answer makes the server's answer to statements with one of these beginnings an error, so many
// times, and returns how often it was given.
func (w *wire) answer(err *mysql.MySQLError, times int, prefixes ...string) *int {
	w.mu.Lock()
	defer w.mu.Unlock()
	given := 0
	w.fail = func(c call) error {
		for _, p := range prefixes {
			if given < times && strings.HasPrefix(c.stmt, p) {
				given++
				return err
			}
		}
		return nil
	}
	return &given
}

// What servers and proxies answer has the kind that says what is to be done, is tried
// again in the call where that may help at once, and a connection whose end does not work
// is given up.
func TestFaultsOfServersHaveKinds(t *testing.T) {
	s, w := wired(t, testserver.MySQL)
	rows, _ := numbered(1)
	const once, often = 1, 4 // tries of a call
	for _, c := range []struct {
		numbers []uint16
		message string
		kind    error
		tries   int
	}{
		{[]uint16{1044, 1045, 1049, 1130, 1142, 1251, 1524, 1698, 1820, 1862, 2059, 3118, 3159, 3879, 3955, 4150, 4151}, "", task.ErrRefused, once},
		{[]uint16{1146}, "", task.ErrNotMigrated, once},
		{[]uint16{1036, 1290, 1792, 1836, 1874}, "", task.ErrReadOnly, once},
		{[]uint16{1021, 1114, 3675}, "", task.ErrDiskFull, once},
		{[]uint16{3, 1026}, "Error writing file '/tmp/ML0' (OS errno 28 - No space left on device)", task.ErrDiskFull, once},
		{[]uint16{1030}, "Got error 28 from storage engine", task.ErrDiskFull, once},
		{[]uint16{1030}, `Got error 135 "No more room in record file" from storage engine InnoDB`, task.ErrDiskFull, once},
		{[]uint16{1030}, "Got error 168 - 'Unknown (generic) error from engine' from storage engine", task.ErrUnavailable, once},
		{[]uint16{1197, 1705, 8004}, "", task.ErrTooLarge, once},
		{[]uint16{1040, 1041, 1047, 1099, 1129, 1203, 1206, 1226, 1969, 3024, 3032, 3100, 3168, 3796, 3797, 9001, 9003, 9004, 9005, 9006}, "", task.ErrUnavailable, once},
		{[]uint16{1205, 1213, 1412, 1615, 3101, 8002, 8005, 9007}, "", task.ErrUnavailable, often},
		{[]uint16{1053, 1105, 1152, 1158, 1159, 1160, 1161, 1180, 1184, 1317, 1815, 1927, 2006, 2013, 3169, 4031, 9002}, "", task.ErrUnavailable, often},
	} {
		for _, n := range c.numbers {
			given := w.answer(&mysql.MySQLError{Number: n, Message: c.message}, 1000, "INSERT")
			err := s.Create(t.Context(), rows)
			if !errors.Is(err, c.kind) || errors.Is(c.kind, task.ErrUnavailable) != errors.Is(err, task.ErrUnavailable) || errors.Is(c.kind, task.ErrDiskFull) != errors.Is(err, task.ErrDiskFull) {
				t.Errorf("Create met error %d %s: %v, want %v", n, c.message, err, c.kind)
			}
			if *given != c.tries {
				t.Errorf("Create met error %d %d times, want %d", n, *given, c.tries)
			}
		}
	}
	w.mend()
	if err := s.Create(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	for n, kept := range map[uint16]bool{1206: true, 1047: false, 3032: false, 1836: false, 9006: false} {
		id := connection(t, w)
		w.answer(&mysql.MySQLError{Number: n}, 1, "UPDATE")
		if _, err := s.Move(t.Context(), rows[0].Ref, rows[0]); err == nil {
			t.Errorf("Move met error %d and returned nil", n)
		}
		w.mend()
		if same := connection(t, w) == id; same != kept {
			t.Errorf("after error %d the connection is the same: %t, want %t", n, same, kept)
		}
	}
}

// connection is the id of the one connection of w's pool.
func connection(t *testing.T, w *wire) (id int64) {
	t.Helper()
	w.db.SetMaxOpenConns(1)
	if err := w.db.QueryRow("SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// Maintenance and failovers make servers answer this and that for a while, of which some
// is in no list. Handlers' successes count all the same: each task is delivered once.
func TestWhatPassesCostsNoSecondDelivery(t *testing.T) {
	for _, n := range []uint16{1036, 1045, 1047, 1099, 1105, 1114, 1129, 1142, 1146, 1158, 1159, 1160, 1161, 1180, 1197, 1205, 1206, 1213, 1290,
		1615, 1836, 1874, 1969, 3024, 3032, 3100, 3101, 8002, 9001, 9006, 9007, 64999} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			delivered(t, n)
		})
	}
}

func delivered(t *testing.T, number uint16) {
	store, w := wired(t, testserver.MySQL)
	set, err := local.New(local.Options{Namespace: "t"})
	if err != nil {
		t.Fatal(err)
	}
	sch, err := triggerhook.New(store, set, triggerhook.Options{Lease: time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := sch.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	const n = 100
	var tasks []*triggerhook.Task
	for i := range n {
		tasks = append(tasks, &triggerhook.Task{ID: fmt.Sprint(i), Due: time.Now()})
	}
	if err := sch.Create(t.Context(), tasks...); err != nil {
		t.Fatal(err)
	}
	w.answer(&mysql.MySQLError{Number: number, Message: "for a while"}, 5, "DELETE")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var runs atomic.Int64
	go func() {
		defer stop()
		for left := int64(1); left > 0 && ctx.Err() == nil; <-time.After(20 * time.Millisecond) {
			left, _, _ = store.Count(ctx, 1000)
		}
	}()
	err = sch.Handle(ctx, 8, func(context.Context, *triggerhook.Delivery) error { runs.Add(1); return nil })
	left, _, cerr := store.Count(t.Context(), 1000)
	if runs.Load() != n || left != 0 || err != nil || cerr != nil {
		t.Errorf("%d tasks were delivered %d times; %d rows are left; %v, %v", n, runs.Load(), left, err, cerr)
	}
}
