package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// tableLocks are the ways to keep others from the table, as backups and schema
// changes do, by name.
var tableLocks = []struct {
	name string
	do   func(st *stage, d time.Duration) error
}{
	{"lock tables", func(st *stage, d time.Duration) error { return st.locked(d, "LOCK TABLES "+st.ns+"_task WRITE") }},
	{"global read lock", func(st *stage, d time.Duration) error { return st.locked(d, "FLUSH TABLES WITH READ LOCK") }},
	{"schema change", (*stage).altered},
}

// metadataLock: no other session gets at the table of tasks for some seconds, or for longer than
// a call of the library waits. What waits may be given up, and be done all the same
// once the lock goes.
func metadataLock(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	how, d, variant := tableLocks[r.IntN(len(tableLocks))], between(r, time.Second, 5*time.Second), ""
	if r.IntN(3) == 0 {
		d, variant = between(r, callTime+time.Second, callTime+3*time.Second), " beyond a call"
	}
	return st.hit(history.Event{Kind: "metadatalock", Variant: how.name + variant, Blurs: true}, func() error {
		return how.do(st, d)
	})
}

// locked holds what stmt locks.
func (st *stage) locked(d time.Duration, stmt string) error {
	conn, err := st.db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := execute(conn, stmt); err != nil {
		return err
	}
	hold(d)
	return execute(conn, "UNLOCK TABLES")
}

// altered has a schema change wait for a transaction that stays open: all others wait
// behind the change.
func (st *stage) altered(d time.Duration) error {
	tx, err := st.db.Begin()
	if err != nil {
		return err
	}
	var n int
	if err := tx.QueryRow("SELECT COUNT(*) FROM (SELECT 1 FROM " + st.ns + "_task LIMIT 1) t").Scan(&n); err != nil {
		return errors.Join(fmt.Errorf("hold the table: %w", err), tx.Rollback())
	}
	changed := make(chan error)
	go func() {
		changed <- execute(st.db, "ALTER TABLE "+st.ns+"_task COMMENT = '"+fmt.Sprint(history.Now())+"'")
	}()
	hold(d)
	return errors.Join(tx.Rollback(), <-changed)
}
