// Command payment is a service on MySQL and Redis that cancels orders which are not paid in
// time. docs/payment.md tells why each step stands where it does.
//
//	payment --mysql USER:PASSWORD@tcp(HOST:3306)/DATABASE --redis HOST:6379 --listen 127.0.0.1:8080
//	curl -X POST '127.0.0.1:8080/order?id=17&minutes=30'
//	curl -X POST '127.0.0.1:8080/extend?id=17&minutes=60'
//	curl -X POST '127.0.0.1:8080/pay?id=17'
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
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
	ns := flag.String("namespace", "orders", "prefix of tables and keys")
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ctx, *dsn, *addr, *ns, l); err != nil {
		log.Fatal(err)
	}
}

// open makes the pools. The shop's own statements have a pool of their own, because NewMySQL
// sets the sessions of its connections to its needs.
func open(dsn, addr string) (own, tasks *sql.DB, rdb *redis.Client, err error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("--mysql is no DSN: %w", err)
	}
	config.InterpolateParams = true // one round trip a statement, not two
	if tasks, err = pool(config); err != nil {
		return nil, nil, nil, err
	}
	config.ClientFoundRows = true // the shop asks whether a row matched, not whether it changed
	if own, err = pool(config); err != nil {
		return nil, nil, nil, err
	}
	own.SetMaxOpenConns(16)
	tasks.SetMaxOpenConns(16) // 4 statements of each kind are under way at once
	tasks.SetMaxIdleConns(16) // keep them: a new connection takes several round trips
	rdb = redis.NewClient(&redis.Options{
		Addr:     addr,
		PoolSize: 20, // calls that are under way at once; more wait in line
	})
	return own, tasks, rdb, nil
}

func pool(config *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(config) // which copies it
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// serve answers HTTP and handles tasks until ctx ends. The order of the end: no new requests,
// then no new deliveries, then the pools.
func serve(ctx context.Context, dsn, addr, ns string, l net.Listener) (err error) {
	own, tasks, rdb, err := open(dsn, addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rdb.Close(), tasks.Close(), own.Close()) }()
	store, err := durable.NewMySQL(tasks, durable.Options{Namespace: ns})
	if err != nil {
		return err
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns})
	if err != nil {
		return err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		return err
	}
	sh := &shop{own, s}
	if err := errors.Join(s.Migrate(ctx), sh.migrate(ctx)); err != nil {
		return err
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	handled := make(chan error, 1)
	go func() { handled <- s.Handle(working, 16, sh.cancel) }()
	server := &http.Server{Handler: sh.routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err = <-handled: // it can not go on: ErrMismatch, ErrRefused
		handled <- nil
	case err = <-served:
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(last)) // requests that are under way may still create tasks
	stop()                                        // then the deliveries in hand, and what Redis has not taken yet
	return errors.Join(err, <-handled)
}
