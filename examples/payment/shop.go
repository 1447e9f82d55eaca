package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/triggerhook/triggerhook"
)

// shop cancels orders that are not paid in time. The order's row decides; a task only brings
// the handler to look at it.
type shop struct {
	db *sql.DB
	s  *triggerhook.Scheduler
}

// errNotOpen: the order is paid or cancelled, or there is none.
var errNotOpen = errors.New("the order is not open")

func (sh *shop) migrate(ctx context.Context) error {
	_, err := sh.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS shop_order (
		id VARCHAR(64) PRIMARY KEY, state VARCHAR(16) NOT NULL, deadline_ms BIGINT NOT NULL)`)
	return err
}

// change executes a statement that changes one order, and answers errNotOpen if it changed none.
func (sh *shop) change(ctx context.Context, statement string, args ...any) error {
	result, err := sh.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errNotOpen)
	}
	return nil
}

func (sh *shop) task(id string, deadline time.Time) *triggerhook.Task {
	return &triggerhook.Task{ID: "cancel-" + id, Due: deadline, Payload: []byte(id)}
}

// place takes an order: the task first, and then the row.
func (sh *shop) place(ctx context.Context, id string, deadline time.Time) error {
	err := sh.s.Create(ctx, sh.task(id, deadline))
	if err != nil && !errors.Is(err, triggerhook.ErrExists) {
		return err
	}
	_, err = sh.db.ExecContext(ctx, "INSERT IGNORE INTO shop_order VALUES (?, 'open', ?)", id, deadline.UnixMilli())
	return err
}

// pay marks an order as paid, and then deletes its task.
func (sh *shop) pay(ctx context.Context, id string) error {
	if err := sh.change(ctx, "UPDATE shop_order SET state = 'paid' WHERE id = ? AND state = 'open'", id); err != nil {
		return err
	}
	err := sh.s.Delete(ctx, "cancel-"+id)
	if err != nil && !errors.Is(err, triggerhook.ErrClaimed) && !errors.Is(err, triggerhook.ErrNotFound) {
		log.Printf("the handler of order %s is called in vain: %v", id, err)
	}
	return nil
}

// extend moves the deadline of an order, and then its task.
func (sh *shop) extend(ctx context.Context, id string, deadline time.Time) error {
	err := sh.change(ctx, "UPDATE shop_order SET deadline_ms = ? WHERE id = ? AND state = 'open'", deadline.UnixMilli(), id)
	if err != nil {
		return err
	}
	err = sh.s.Reschedule(ctx, "cancel-"+id, deadline)
	if errors.Is(err, triggerhook.ErrNotFound) {
		err = sh.s.Create(ctx, sh.task(id, deadline))
	}
	return err
}

// cancel is the handler of a task whose time has come.
func (sh *shop) cancel(ctx context.Context, d *triggerhook.Delivery) error {
	id := string(d.Payload)
	err := sh.change(ctx, "UPDATE shop_order SET state = 'cancelled' WHERE id = ? AND state = 'open' AND deadline_ms <= ?", id, time.Now().UnixMilli())
	if !errors.Is(err, errNotOpen) {
		return err // nil: it is cancelled
	}
	var ms int64
	err = sh.db.QueryRowContext(ctx, "SELECT deadline_ms FROM shop_order WHERE id = ? AND state = 'open'", id).Scan(&ms)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil // paid, cancelled before, or never stored
	case err != nil:
		return err
	}
	return d.Rollback(ctx, time.Until(time.UnixMilli(ms))) // it has more time
}

// routes are POST /order, /extend and /pay, with id and minutes.
func (sh *shop) routes() http.Handler {
	mux := http.NewServeMux()
	for path, act := range map[string]func(ctx context.Context, id string, deadline time.Time) error{
		"POST /order":  sh.place,
		"POST /extend": sh.extend,
		"POST /pay":    func(ctx context.Context, id string, _ time.Time) error { return sh.pay(ctx, id) },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			minutes, _ := strconv.ParseFloat(r.FormValue("minutes"), 64)
			deadline := time.Now().Add(time.Duration(minutes * float64(time.Minute)))
			answer(w, act(r.Context(), r.FormValue("id"), deadline))
		})
	}
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		var state string
		err := sh.db.QueryRowContext(r.Context(), "SELECT state FROM shop_order WHERE id = ?", r.FormValue("id")).Scan(&state)
		if answer(w, err) {
			fmt.Fprint(w, state)
		}
	})
	return mux
}

// answer writes the status of an error, and reports whether there is none.
func answer(w http.ResponseWriter, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errNotOpen):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "there is no such order", http.StatusNotFound)
	case errors.Is(err, triggerhook.ErrInvalid):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		log.Print(err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
	return false
}
