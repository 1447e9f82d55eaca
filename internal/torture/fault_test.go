package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/history"
)

// prepared is a stage with its servers, and with that many workers.
func prepared(t *testing.T, workers int, faults string) *stage {
	t.Helper()
	c, err := parse([]string{"--seed", "2", "--rate", "20", "--faults", faults, "--keep", t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	st, err := setUp(t.Context(), c)
	t.Cleanup(st.tearDown)
	if err != nil {
		t.Fatal(err)
	}
	for i := range workers {
		sl, err := newSlot(st, i+1)
		if err != nil {
			t.Fatal(err)
		}
		st.slots = append(st.slots, sl)
		if err := sl.start(); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

// felt runs a fault, in which the workers' user is to meet the error of that number;
// after it there is none.
func felt(t *testing.T, st *stage, number uint16, fault func() error) {
	t.Helper()
	db, err := sql.Open("mysql", st.workerConfig.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	insert := func() error {
		conn, err := db.Conn(context.Background())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.ExecContext(context.Background(), "SET lock_wait_timeout = 1")
		if err == nil {
			_, err = conn.ExecContext(context.Background(), "INSERT INTO "+st.ns+"_task (next_ms, id, due_ms, ver, created_ms, payload)"+
				" VALUES (1, UUID(), 1, 1, 0, REPEAT('x', 5000))")
		}
		return err
	}
	done := make(chan error, 1)
	go func() { done <- fault() }()
	seen := false
	for ; ; pause(t.Context(), 20*time.Millisecond) {
		err := insert()
		var of *mysql.MySQLError
		if errors.As(err, &of) && of.Number == number {
			seen = true
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if !seen {
				t.Errorf("no worker met error %d; the last one met %v", number, err)
			}
			if err := insert(); err != nil {
				t.Errorf("after the fault: %v", err)
			}
			return
		default:
		}
	}
}

// leaveRoom has the file of the tasks grow, and its pages be free again: far more than
// what felt inserts in a fault.
func leaveRoom(t *testing.T, st *stage) {
	t.Helper()
	tx, err := st.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO "+st.ns+"_task (next_ms, id, due_ms, ver, created_ms, payload) VALUES (?, UUID(), 1, 1, 0, REPEAT('x', 5000))", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsOfMySQLAreFelt(t *testing.T) {
	const offline, lockWait = 3032, 1205
	t.Parallel()
	names := "mysqloffline,metadatalock"
	if canMount() {
		names += ",diskfull"
	}
	st := prepared(t, 0, names)
	r := rand.New(rand.NewPCG(1, 1))
	t.Run("mysqloffline/mysql97", func(t *testing.T) { felt(t, st, offline, func() error { return mysqlOffline(st, r) }) })
	for _, how := range tableLocks {
		t.Run(how.name+"/mysql97", func(t *testing.T) { felt(t, st, lockWait, func() error { return how.do(st, 3*time.Second) }) })
	}
	t.Run("diskfull/mysql97", func(t *testing.T) {
		if !canMount() { // then all faults are all but this one, which says why
			st.faults = []string{"diskfull"}
			if err := st.limit(); err == nil || st.small != "" {
				t.Errorf("the database is on a small file system at %q, %v", st.small, err)
			}
			return
		}
		leaveRoom(t, st)
		felt(t, st, tableFull, func() error { return fullDisk(st, r) })
		left := 0
		if err := st.db.QueryRow("SELECT COUNT(*) FROM " + st.ns + "_task WHERE id LIKE 'fill-%'").Scan(&left); left > 0 || err != nil {
			t.Errorf("%d rows of the fault's are left, %v", left, err)
		}
	})
}

// What the machine does not allow is left out of all faults, and is an error if it was
// asked for by name.
func TestAFaultThatCannotBeIsLeftOutOfAll(t *testing.T) {
	why := errors.New("no")
	c, err := parse([]string{"--faults", "all,diskfull"})
	if err != nil || !c.small() {
		t.Fatalf("all faults need no small file system: %v", err)
	}
	if err := c.leaveOut(why); err != nil || c.small() || !slices.Contains(c.faults, "kill") {
		t.Errorf("left out of all: %v, faults %v", err, c.faults)
	}
	c, err = parse([]string{"--faults", "kill,diskfull"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.leaveOut(why); !errors.Is(err, why) {
		t.Errorf("asked for by name: %v", err)
	}
}

// All workers are on one server in the end, which is the stage's, and the other one is
// empty.
func TestTwoServersOfRedisBecomeOne(t *testing.T) {
	t.Parallel()
	st := prepared(t, 2, "tworedis")
	r := rand.New(rand.NewPCG(1, 1))
	for _, f := range []struct {
		name  string
		moves bool
		do    func() error
	}{
		{"deploy", true, func() error { return st.deploy(r, st.slots[:1]) }},
		{"deploy taken back", false, func() error { return st.deployAndBack(r, st.slots[:1]) }},
		{"split brain", true, func() error { return st.splitBrain(r, st.slots[:1]) }},
	} {
		t.Run(f.name+"/redis7", func(t *testing.T) {
			before := st.redisAt.Addr
			if err := f.do(); err != nil {
				t.Fatal(err)
			}
			if st.redisAt.Addr != st.redisServer.Addr || (st.redisAt.Addr != before) != f.moves {
				t.Errorf("the server was %s and is %s, the stage's is %s", before, st.redisServer.Addr, st.redisAt.Addr)
			}
			for _, sl := range st.slots {
				if sl.redis.server != st.redisAt.Addr {
					t.Errorf("%s is led to %s, want %s", sl.name, sl.redis.server, st.redisAt.Addr)
				}
			}
			rdb := st.client()
			defer rdb.Close()
			if held, err := rdb.Keys(t.Context(), "*").Result(); err != nil || len(held) == 0 && !f.moves {
				t.Errorf("the server holds %v, %v", held, err)
			}
		})
	}
}

// Each worker is succeeded, and the ends of those before are in the history.
func TestWorkersSucceedOneAnother(t *testing.T) {
	t.Parallel()
	st := prepared(t, 2, "rolling")
	if err := st.succession(0, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(st.path)
	if err != nil {
		t.Fatal(err)
	}
	for i, sl := range st.slots {
		if want := fmt.Sprintf("w%d.2", i+1); sl.who() != want || !sl.brief {
			t.Errorf("%s works there, want %s, which holds nothing for long: %t", sl.who(), want, sl.brief)
		}
		for _, op := range []history.Op{history.Ending, history.Crash} {
			if n := strings.Count(string(text), fmt.Sprintf(`"op":"%s","target":"w%d.1"`, op, i+1)); n != 1 {
				t.Errorf("w%d.1: %d lines of its %s, want 1", i+1, n, op)
			}
		}
	}
}
