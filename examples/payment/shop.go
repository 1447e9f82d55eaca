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

// errBadRequest: what the client asks for cannot be.
var errBadRequest = errors.New("bad request")

// mostMinutes is the longest time to pay that a client is given: a week.
const mostMinutes = 7 * 24 * 60

func (sh *shop) migrate(ctx context.Context) error {
	_, err := sh.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS shop_order (
		id VARBINARY(64) PRIMARY KEY, state VARCHAR(16) NOT NULL, deadline_ms BIGINT NOT NULL)`)
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
	err = sh.change(ctx, "INSERT IGNORE INTO shop_order VALUES (?, 'open', ?)", id, deadline.UnixMilli())
	if !errors.Is(err, errNotOpen) {
		return err // nil: it is placed
	}
	var state string
	err = sh.db.QueryRowContext(ctx, "SELECT state FROM shop_order WHERE id = ?", id).Scan(&state)
	if err == nil && state == "cancelled" {
		err = errNotOpen // the handler came first
	}
	return err // nil: an earlier call has placed it
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
	var state string
	var ms int64
	err = sh.db.QueryRowContext(ctx, "SELECT state, deadline_ms FROM shop_order WHERE id = ?", id).Scan(&state, &ms)
	switch {
	case errors.Is(err, sql.ErrNoRows): // place has not stored it yet, and must not do so any more
		return sh.change(ctx, "INSERT IGNORE INTO shop_order VALUES (?, 'cancelled', 0)", id)
	case err != nil:
		return err
	case state != "open":
		return nil // paid, or cancelled before
	}
	return triggerhook.Snooze(time.Until(time.UnixMilli(ms))) // it has more time
}

// routes are POST /order, /extend and /pay, with id and minutes, and GET /order, with id.
func (sh *shop) routes() http.Handler {
	mux := http.NewServeMux()
	for path, act := range map[string]func(ctx context.Context, id string, deadline time.Time) error{
		"POST /order":  sh.place,
		"POST /extend": sh.extend,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			id, err := idOf(r)
			deadline, invalid := deadlineOf(r)
			if err = errors.Join(err, invalid); err == nil {
				err = act(r.Context(), id, deadline)
			}
			answer(w, err)
		})
	}
	mux.HandleFunc("POST /pay", func(w http.ResponseWriter, r *http.Request) {
		id, err := idOf(r)
		if err == nil {
			err = sh.pay(r.Context(), id)
		}
		answer(w, err)
	})
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		var state string
		err := sh.db.QueryRowContext(r.Context(), "SELECT state FROM shop_order WHERE id = ?", r.FormValue("id")).Scan(&state)
		if answer(w, err) {
			fmt.Fprint(w, state)
		}
	})
	return mux
}

// idOf is the order that a request names. A longer ID would be stored without its end.
func idOf(r *http.Request) (string, error) {
	id := r.FormValue("id")
	if id == "" || len(id) > 64 {
		return "", fmt.Errorf("%w: id is %q, want 1 to 64 bytes", errBadRequest, id)
	}
	return id, nil
}

// deadlineOf is the end of the time that a request gives.
func deadlineOf(r *http.Request) (time.Time, error) {
	minutes, err := strconv.ParseFloat(r.FormValue("minutes"), 64)
	if err != nil || !(minutes >= 0 && minutes <= mostMinutes) {
		return time.Time{}, fmt.Errorf("%w: minutes is %q, want a number from 0 to %d", errBadRequest, r.FormValue("minutes"), mostMinutes)
	}
	return time.Now().Add(time.Duration(minutes * float64(time.Minute))), nil
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
	case errors.Is(err, errBadRequest), errors.Is(err, triggerhook.ErrInvalid):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		log.Print(err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
	return false
}
