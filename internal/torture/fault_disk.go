package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/history"
)

const (
	// smallBytes is the size of the file system that the database is on: a run's tables
	// take a tenth of it.
	smallBytes = 96 << 20
	// tableFull is the number of MySQL's error.
	tableFull = 1114
)

// fullDisk: the file system of the tables is full for a while. Rows take what is free
// inside the tables, too, for a table that need not grow does not feel it. They are far
// away, so that no hot set is told of them, and go with the fault.
func fullDisk(st *stage, r *rand.Rand) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	ballast := filepath.Join(st.small, "ballast")
	return st.hit(history.Event{Kind: "diskfull"}, func() error {
		err := errors.Join(fillDisk(ballast), st.fillTable())
		if err == nil {
			hold(between(r, time.Second, 5*time.Second))
		}
		return errors.Join(err, os.Remove(ballast), execute(st.db, "DELETE FROM "+st.ns+"_task WHERE id >= 'fill-' AND id < 'fill.'"))
	})
}

// fillDisk writes until there is no space.
func fillDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer f.Close()
	for _, n := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

// fillTable inserts ever smaller rows, until the table takes no more of the last; in one
// transaction, for a commit each takes long on a busy disk.
func (st *stage) fillTable() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tx, err := st.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // of what was not committed
	n := 0
	for _, size := range []int{256 << 10, 16 << 10, 2 << 10, 100} {
		for {
			due := history.Now()/1000 + 2*farAway.Milliseconds() + int64(n)
			_, err := tx.ExecContext(ctx, "INSERT INTO "+st.ns+"_task (next_ms, id, due_ms, ver, created_ms, payload) VALUES (?, ?, ?, 1, 0, ?)",
				due, fmt.Sprintf("fill-%d", n), due, []byte(strings.Repeat("x", size)))
			n++
			var of *mysql.MySQLError
			if errors.As(err, &of) && of.Number == tableFull {
				break
			}
			if err != nil {
				return fmt.Errorf("fill the table: %w", err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	return nil
}
