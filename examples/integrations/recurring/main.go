// Command recurring runs jobs that recur, on MySQL and Redis: each occurrence is a task, and the worker that
// does it creates the next one. docs/recurring.md tells why this loses no occurrence and does none twice.
//
//	recurring --mysql USER:PASSWORD@tcp(HOST:3306)/DATABASE --redis HOST:6379 --cron '30 1 * * *' --zone Europe/Berlin
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
)

func main() {
	dsn := flag.String("mysql", "", "DSN of a MySQL database")
	addr := flag.String("redis", "", "address of a Redis")
	expression := flag.String("cron", "* * * * *", "when the job runs, in five fields")
	zone := flag.String("zone", "UTC", "the zone of the expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	location, err := time.LoadLocation(*zone)
	if err != nil {
		log.Fatal(err)
	}
	s, err := Robfig(*expression)
	if err != nil {
		log.Fatal(err)
	}
	if err := work(ctx, *dsn, *addr, "report", in(location, s), triggerhook.Options{}); err != nil {
		log.Fatal(err)
	}
}

// work runs one job until ctx ends. Any number of processes may run it.
func work(ctx context.Context, dsn, addr, name string, next Schedule, o triggerhook.Options) error {
	own, tasks, err := pools(dsn)
	if err != nil {
		return err
	}
	defer own.Close()
	defer tasks.Close()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	store, err := durable.NewMySQL(tasks, durable.Options{})
	if err != nil {
		return err
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{})
	if err != nil {
		return err
	}
	s, err := triggerhook.New(store, set, o)
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	runs := ledger{own}
	if err := runs.migrate(ctx); err != nil {
		return err
	}
	job := Job{Name: name, Next: next, Run: func(_ context.Context, _ *sql.Tx, at time.Time) error {
		fmt.Println(name, at)
		return nil
	}}
	if err := job.start(ctx, s, runs); err != nil {
		return err
	}
	return s.Handle(ctx, 4, func(ctx context.Context, d *triggerhook.Delivery) error { return job.handle(ctx, s, runs, d) })
}

// pools opens the job's own pool, and that of the store, which sets its sessions to its needs.
func pools(dsn string) (own, tasks *sql.DB, err error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("--mysql is no DSN: %w", err)
	}
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, nil, err
	}
	return sql.OpenDB(connector), sql.OpenDB(connector), nil
}
