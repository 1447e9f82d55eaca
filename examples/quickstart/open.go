package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/go-sql-driver/mysql"
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
	db, err := sql.Open("mysql", f.mysql)
	if err != nil {
		return nil, nil, errors.New("--mysql is no DSN of go-sql-driver/mysql: user:password@tcp(host:port)/database")
	}
	store, err := durable.NewMySQL(db, durable.Options{Namespace: f.ns})
	return store, db.Close, err
}
