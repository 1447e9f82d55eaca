package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) {
	testscript.Main(testserver.Closing(m), map[string]func(){"triggerhook": main, "worker": worker})
}

// worker handles as many deliveries as its argument says, and ends. A task whose ID begins with "fail/" fails, and is dead then.
func worker() {
	if err := work(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func work(count string) error {
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return err
	}
	a := app{target: target{store: os.Getenv("TRIGGERHOOK_STORE"), hot: os.Getenv("TRIGGERHOOK_HOT"), namespace: os.Getenv("TRIGGERHOOK_NAMESPACE"), partitions: 1}}
	o := &opened{}
	defer o.close()
	store, err := a.openStore(o)
	if err != nil {
		return err
	}
	set, err := a.openHot(o)
	if err != nil {
		return err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{MaxAttempts: 1, Worker: "worker-1", History: triggerhook.History{Retention: time.Hour}})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	var handled atomic.Int64
	err = s.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
		fmt.Println("delivered", d.ID)
		if handled.Add(1) == n {
			stop()
		}
		if strings.HasPrefix(d.ID, "fail/") {
			return errors.New("out of paper")
		}
		return nil
	})
	if handled.Load() != n {
		return fmt.Errorf("%d deliveries, want %d: %w", handled.Load(), n, err)
	}
	return err
}

// Each script in testdata/script runs on the embedded pair and on real servers.
func TestScripts(t *testing.T) {
	for _, pair := range []struct {
		name   string
		stores func(t *testing.T, e *testscript.Env) (store, hot string)
	}{
		{"embedded", func(_ *testing.T, e *testscript.Env) (string, string) {
			return "bolt:" + e.WorkDir + "/tasks.bolt", "local"
		}},
		{"servers", func(t *testing.T, e *testscript.Env) (string, string) {
			return mysqlURL(t), "redis://" + testserver.Shared(t, testserver.Redis).Addr
		}},
	} {
		t.Run(pair.name, func(t *testing.T) {
			var n atomic.Int64
			testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Condition: func(cond string) (bool, error) { return cond == pair.name, nil },
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code, "sql": runSQL, "until": until}, Setup: func(e *testscript.Env) error {
					store, hot := pair.stores(t, e)
					e.Setenv("TRIGGERHOOK_STORE", store)
					e.Setenv("TRIGGERHOOK_HOT", hot)
					e.Setenv("TRIGGERHOOK_NAMESPACE", fmt.Sprintf("cli%d_%d", os.Getpid(), n.Add(1)))
					return nil
				}})
		})
	}
}

// code runs a command, and expects that exit code.
func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// until runs a command again and again, for at most 30 s, until its output matches a regular expression.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	end, tick := time.After(30*time.Second), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			ts.Fatalf("%q does not come", args[0])
		}
	}
}

// runSQL runs the statements of a file, one a line, in the database of TRIGGERHOOK_STORE. {ns} is the namespace.
func runSQL(ts *testscript.TestScript, _ bool, args []string) {
	dsn, err := mysqlDSN("sql", ts.Getenv("TRIGGERHOOK_STORE"))
	ts.Check(err)
	db, err := sql.Open("mysql", dsn)
	ts.Check(err)
	defer db.Close()
	for statement := range strings.Lines(ts.ReadFile(args[0])) {
		_, err := db.Exec(strings.ReplaceAll(statement, "{ns}", ts.Getenv("TRIGGERHOOK_NAMESPACE")))
		ts.Check(err)
	}
}

// mysqlURL is a database of the test's own, as --store names it.
func mysqlURL(t *testing.T) string {
	t.Helper()
	server := testserver.Shared(t, testserver.MySQL)
	c, err := mysql.ParseDSN(server.DSN(server.Database(t)))
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "mysql", Host: c.Addr, Path: "/" + c.DBName, User: url.User(c.User)}
	if c.Passwd != "" {
		u.User = url.UserPassword(c.User, c.Passwd)
	}
	return u.String()
}
