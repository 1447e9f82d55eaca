// Command screenshots takes the pictures of docs/images: the dashboard of a namespace on MySQL and Redis that creates and handles
// tasks at some hundred a second. In the root:
//
//	go run ./internal/testserver/servers bash -c 'cd dashboard && go run ./internal/screenshots ../docs/images'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
	"github.com/triggerhook/triggerhook/dashboard/internal/browser"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: screenshots FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// warmUp is how long the load runs before the pictures are taken.
const warmUp = 45 * time.Second

func run(folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	s, closeStores, err := open(ctx, "mail-7c9f:1")
	if err != nil {
		return err
	}
	defer closeStores()
	second, closeSecond, err := open(ctx, "mail-b21d:1")
	if err != nil {
		return err
	}
	defer closeSecond()
	working, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { report(s.Handle(working, 32, handle)) })
	all.Go(func() { report(second.Handle(working, 32, handle)) })
	all.Go(func() { report(produce(working, s)) })
	if err := seed(ctx, s); err != nil {
		return err
	}
	pages, err := dashboard.New(s, dashboard.Options{Operate: true, Authorize: func(*http.Request) error { return nil }, Payloads: true})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}
	all.Go(func() { report(server.Serve(listener)) })
	defer server.Close()
	return take(ctx, "http://"+listener.Addr().String(), folder)
}

// report prints what ends a part of the program.
func report(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
	}
}

// open opens a worker on the servers that the environment names, in a database of its own.
func open(ctx context.Context, worker string) (*triggerhook.Scheduler, func(), error) {
	c, err := mysql.ParseDSN(os.Getenv("TRIGGERHOOK_TEST_MYSQL"))
	if err != nil {
		return nil, nil, err
	}
	admin, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		return nil, nil, err
	}
	defer admin.Close()
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS screenshots"); err != nil {
		return nil, nil, err
	}
	c.DBName, c.InterpolateParams = "screenshots", true
	db, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		return nil, nil, err
	}
	rdb := redis.NewClient(&redis.Options{Addr: os.Getenv("TRIGGERHOOK_TEST_REDIS")})
	closeAll := func() { report(errors.Join(rdb.Close(), db.Close())) }
	store, err := durable.NewMySQL(db, durable.Options{Namespace: "mail"})
	if err != nil {
		return nil, closeAll, err
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: "mail"})
	if err != nil {
		return nil, closeAll, err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Logger: slog.New(slog.DiscardHandler), MaxAttempts: 3,
		Retry: retrypolicy.Constant(2 * time.Second), Worker: worker, History: triggerhook.History{Retention: time.Hour}})
	if err == nil {
		err = s.Migrate(ctx)
	}
	return s, closeAll, err
}

// seed creates tasks of the coming 24 hours, with a wave at each full hour, and one task to look at.
func seed(ctx context.Context, s *triggerhook.Scheduler) error {
	now := time.Now()
	for n := 0; n < 40_000; {
		var some []*triggerhook.Task
		for range 1_000 {
			at := now.Add(2*time.Minute + time.Duration(rand.Float64()*rand.Float64()*float64(26*time.Hour)))
			switch rand.IntN(4) {
			case 0: // a wave at a full hour
				at = at.Truncate(time.Hour).Add(time.Hour + time.Duration(rand.ExpFloat64()*float64(8*time.Minute)))
			case 1: // and one in the coming hour
				at = now.Add(max(2*time.Minute, 25*time.Minute+time.Duration(rand.NormFloat64()*float64(8*time.Minute))))
			}
			some = append(some, &triggerhook.Task{ID: fmt.Sprintf("customer-%05d/trial-ends-%d", rand.IntN(20_000), n), Due: at, Payload: []byte(`{"mail":"trial-ends"}`)})
			n++
		}
		if err := s.Create(ctx, some...); err != nil {
			return err
		}
	}
	return s.Create(ctx, &triggerhook.Task{ID: "customer-00042/trial-ends", Due: now.Add(26 * time.Hour), Expires: now.Add(50 * time.Hour),
		Payload: []byte(`{"mail":"trial-ends","customer":42,"plan":"team"}`), Headers: map[string]string{"tenant": "north", "content-type": "application/json"}})
}

// produce creates some hundred tasks a second, due within the next seconds, until ctx ends.
func produce(ctx context.Context, s *triggerhook.Scheduler) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var some []*triggerhook.Task
		for range 80 + rand.IntN(80) {
			some = append(some, &triggerhook.Task{ID: fmt.Sprintf("order-%07d/receipt", n), Due: time.Now().Add(time.Duration(rand.Float64() * float64(8*time.Second)))})
			n++
		}
		if err := s.Create(ctx, some...); err != nil {
			return err
		}
	}
}

// handle handles a task within some milliseconds, and fails at times.
func handle(ctx context.Context, d *triggerhook.Delivery) error {
	timer := time.NewTimer(time.Duration(1+rand.IntN(8)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch rand.IntN(400) {
	case 0:
		return triggerhook.Discard("the address does not exist")
	case 1, 2, 3:
		return errors.New("smtp: 451 try again later")
	}
	return nil
}

// picture is one picture to take.
type picture struct {
	name, page    string
	width, height int64
	scheme        string
}

func take(ctx context.Context, origin, folder string) error {
	profile, err := os.MkdirTemp("", "screenshots")
	if err != nil {
		return err
	}
	defer os.RemoveAll(profile)
	b, err := browser.Open(profile, origin)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.Save(origin+"/", filepath.Join(profile, "first.png"), true); err != nil {
		return err // its stream of live figures stays open meanwhile
	}
	timer := time.NewTimer(warmUp)
	defer timer.Stop()
	select {
	case <-timer.C: // so that there is a line of lateness
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range []picture{
		{"dashboard", "/", 1280, 1000, "light"}, {"dashboard-dark", "/", 1280, 1000, "dark"}, {"dashboard-phone", "/", 390, 844, "light"},
		{"dashboard-tasks", "/tasks?prefix=customer-00", 1280, 900, "light"}, {"dashboard-task", "/task?id=customer-00042/trial-ends", 1280, 900, "light"},
		{"dashboard-dead", "/dead", 1280, 900, "dark"}, {"dashboard-requeue", "/requeue?reason=discarded", 1280, 600, "light"}, {"dashboard-phone-tasks", "/tasks?prefix=customer-00", 390, 844, "dark"},
	} {
		err := b.Look(p.width, p.height, p.scheme)
		if err == nil {
			err = b.Save(origin+p.page, filepath.Join(folder, p.name+".png"), p.page == "/")
		}
		if err != nil {
			return err
		}
	}
	for _, problem := range b.Problems() {
		return errors.New(problem)
	}
	return nil
}
