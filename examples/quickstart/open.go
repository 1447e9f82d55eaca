package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// open opens the two stores that the flags name: embedded, or servers, or one of each.
func open(f flags) (durable.Store, hotset.Set, func() error, error) {
	store, closeStore, err := openStore(f)
	if err != nil {
		return nil, nil, nil, err
	}
	if f.redis == "" {
		set, err := local.New(local.Options{Namespace: f.ns})
		return store, set, closeStore, err
	}
	rdb := redis.NewClient(&redis.Options{Addr: f.redis})
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: f.ns})
	return store, set, func() error { return errors.Join(rdb.Close(), closeStore()) }, err
}

func openStore(f flags) (durable.Store, func() error, error) {
	if f.mysql == "" {
		if err := os.MkdirAll(f.data, 0o700); err != nil {
			return nil, nil, fmt.Errorf("make the data folder: %w", err)
		}
		store, err := bolt.Open(filepath.Join(f.data, "tasks.bolt"), bolt.Options{Namespace: f.ns})
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	db, err := openMySQL(f.mysql)
	if err != nil {
		return nil, nil, err
	}
	store, err := durable.NewMySQL(db, durable.Options{Namespace: f.ns})
	return store, db.Close, err
}

// ownDatabase is the database that is made and used if --mysql names none.
const ownDatabase = "quickstart"

// openMySQL opens the database that dsn names, or ownDatabase if it names none.
func openMySQL(dsn string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil { // the error of ParseDSN may quote the password
		return nil, errors.New("--mysql is no DSN of go-sql-driver/mysql: user:password@tcp(host:port)/database")
	}
	if cfg.DBName != "" {
		return sql.Open("mysql", dsn)
	}
	server, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, fmt.Errorf("open --mysql: %w", err)
	}
	if _, err := server.Exec("CREATE DATABASE IF NOT EXISTS " + ownDatabase); err != nil {
		return nil, errors.Join(fmt.Errorf("make the database %s, because --mysql names none: %w", ownDatabase, err), server.Close())
	}
	cfg.DBName = ownDatabase
	db, err := sql.Open("mysql", cfg.FormatDSN())
	return db, errors.Join(err, server.Close())
}
