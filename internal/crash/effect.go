package main

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook"
)

// errChance is what a handler fails with at random.
var errChance = errors.New("by chance")

// effect counts d in a table of its own, in the transaction that confirms d. Now and then it takes longer than
// DeliveryTimeout, rolls back, forgets to commit, or fails after the commit.
func effect(db *sql.DB, d *triggerhook.Delivery) error {
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no error after a commit
	if _, err := tx.Exec("INSERT INTO effect VALUES (?, 1) ON DUPLICATE KEY UPDATE n = n + 1", []byte(d.ID)); err != nil {
		return err
	}
	linger()
	if err := d.ConfirmTx(context.Background(), tx); err != nil {
		return err
	}
	linger()
	switch rand.IntN(12) {
	case 0:
		return errChance
	case 1:
		return nil // not committed
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if rand.IntN(12) == 0 {
		return errChance
	}
	return nil
}

// linger takes a moment, and once in a while longer than DeliveryTimeout.
func linger() {
	d := time.Duration(rand.IntN(10)) * time.Millisecond
	if rand.IntN(40) == 0 {
		d += 400 * time.Millisecond
	}
	<-time.After(d)
}
