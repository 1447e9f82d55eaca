// Package orders creates a row of the application's own and the task that belongs to it in one transaction, with
// database/sql, sqlx, GORM, ent and bun. The task exists if and only if the transaction is committed.
//
// In each, the transaction is one of the *sql.DB of the application, on the database that has the tables of the tasks. The
// Scheduler's store has a *sql.DB of its own, because it sets its sessions to its needs.
package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook"
)

// Order is a row of the application.
type Order struct {
	ID    string // its reminder is the task "remind/" + ID
	Cents int64  // what it costs
}

// Table creates the table of orders.
const Table = "CREATE TABLE IF NOT EXISTS orders (id VARCHAR(64) PRIMARY KEY, cents BIGINT NOT NULL) ENGINE=InnoDB"

// reminder is the task that belongs to an order.
func reminder(o Order, due time.Time) *triggerhook.Task {
	return &triggerhook.Task{ID: "remind/" + o.ID, Due: due, Payload: fmt.Appendf(nil, "order %s: %d cents", o.ID, o.Cents)}
}

// Check is the last step of each transaction: an error of it rolls back the order and its task.
type Check func(ctx context.Context) error
