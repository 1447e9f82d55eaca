// Command large measures the dashboard on a namespace of very many tasks, 10,000,000 by default: it writes them by SQL into a database of its
// own, which it keeps for the next run, and prints how long each page takes. In the root:
//
//	go run ./internal/testserver/servers bash -c 'cd dashboard && go run ./internal/large'
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
)

const namespace = "large"

func main() {
	rows := flag.Int("rows", 10_000_000, "how many tasks the namespace has")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rows); err != nil {
		fmt.Fprintln(os.Stderr, "large:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rows int) error {
	db, err := open(ctx)
	if err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: os.Getenv("TRIGGERHOOK_TEST_REDIS")})
	defer func() { report(errors.Join(rdb.Close(), db.Close())) }()
	store, err := durable.NewMySQL(db, durable.Options{Namespace: namespace})
	if err != nil {
		return err
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: namespace})
	if err != nil {
		return err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	if err := fill(ctx, db, rows); err != nil {
		return err
	}
	return measure(ctx, s)
}

// report prints what fails at the end.
func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "large:", err)
	}
}

// open opens the database, which it creates.
func open(ctx context.Context) (*sql.DB, error) {
	c, err := mysql.ParseDSN(os.Getenv("TRIGGERHOOK_TEST_MYSQL"))
	if err != nil {
		return nil, err
	}
	admin, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		return nil, err
	}
	defer func() { report(admin.Close()) }()
	if _, err := admin.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS large"); err != nil {
		return nil, err
	}
	c.DBName, c.InterpolateParams = "large", true
	return sql.Open("mysql", c.FormatDSN())
}
