package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/history"
)

// txTime bounds one transaction, also one that is held open.
const txTime = window + callTime

// Transactions of the workers' own. Each writes a row of its own into the ledger, which tells in the end whether
// it has committed, also if its COMMIT had no answer. No two write the same row there, so that nothing but the library
// keeps one from another.

// openTx opens the database for transactions. What waits for a lock there gives up before long, and so does the server with a
// transaction whose caller is silent: it does not see that the caller is gone, and would keep its locks.
func openTx(dsn string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("open MySQL for transactions: %w", err)
	}
	if cfg.Params == nil {
		cfg.Params = map[string]string{}
	}
	cfg.Params["innodb_lock_wait_timeout"], cfg.Params["lock_wait_timeout"], cfg.Params["wait_timeout"] = "3", "5", "12"
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("open MySQL for transactions: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// txKind is what is to become of a transaction.
type txKind struct {
	isolation sql.IsolationLevel
	hold      time.Duration // it stays open for so long
	abort     bool          // it is rolled back
}

// txKind draws one: some are rolled back, and a few stay open for longer than the window.
func (w *worker) txKind(r *rand.Rand) txKind {
	k := txKind{isolation: []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelReadCommitted}[r.IntN(2)],
		hold: time.Duration(r.Int64N(int64(10 * time.Millisecond))), abort: r.IntN(8) == 0}
	if r.IntN(40) == 0 && !w.Brief {
		k.hold = window + time.Duration(r.Int64N(int64(2*time.Second)))
	}
	return k
}

// transact does lines in one transaction, and records them around its COMMIT. A process that is told to end holds none open.
func (w *worker) transact(k txKind, lines []history.Event, do func(ctx context.Context, tx *sql.Tx) error) history.Result {
	name := fmt.Sprint(w.Who, "/", w.rec.Call())
	for i := range lines {
		lines[i].Tx = name
	}
	bounded, cancel := context.WithTimeout(context.Background(), txTime)
	defer cancel()
	tx, err := w.db.BeginTx(bounded, &sql.TxOptions{Isolation: k.isolation})
	if err == nil {
		defer func() { _ = tx.Rollback() }()
		_, err = tx.ExecContext(bounded, "INSERT INTO "+w.Namespace+"_ledger VALUES (?)", []byte(name))
	}
	if err == nil {
		err = do(bounded, tx)
	}
	if err == nil {
		select {
		case <-time.After(k.hold):
		case <-w.ending:
		}
	}
	if err != nil || k.abort {
		w.rec.Write(lines...)
		return w.endTx(lines, notCommitted(err), err)
	}
	w.rec.Write(lines...)
	if err = tx.Commit(); err != nil {
		return w.endTx(lines, history.Unknown, err)
	}
	return w.endTx(lines, history.OK, nil)
}

// notCommitted is the outcome of what is rolled back, or has failed so that it will be.
func notCommitted(err error) history.Result {
	if got := result(err); got != history.OK && got != history.Unknown {
		return got
	}
	return history.Aborted
}

func (w *worker) endTx(lines []history.Event, got history.Result, err error) history.Result {
	for _, e := range lines {
		e.End, e.Result = true, got
		if err != nil {
			e.Error = err.Error()
		}
		w.rec.Write(e)
	}
	return got
}

// createTxUntilKnown creates tasks in a transaction, and tries again if that failed unasked.
func (w *worker) createTxUntilKnown(ctx context.Context, r *rand.Rand, tasks []*triggerhook.Task) {
	k := w.txKind(r)
	for range 4 {
		n := w.rec.Call()
		var lines []history.Event
		for _, t := range tasks {
			lines = append(lines, created(t, n))
		}
		got := w.transact(k, lines, func(ctx context.Context, tx *sql.Tx) error { return w.s.CreateTx(ctx, tx, tasks...) })
		if k.abort || got != history.Unknown && got != history.Aborted || ctx.Err() != nil {
			return
		}
		pause(context.Background(), 200*time.Millisecond)
	}
}

func (w *worker) deleteTx(r *rand.Rand, t *triggerhook.Task, _ int64) history.Result {
	e := history.Event{Op: history.Delete, Call: w.rec.Call(), ID: t.ID}
	return w.transact(w.txKind(r), []history.Event{e}, func(ctx context.Context, tx *sql.Tx) error {
		return w.s.DeleteTx(ctx, tx, t.ID)
	})
}

func (w *worker) rescheduleTx(r *rand.Rand, t *triggerhook.Task, n int64) history.Result {
	to := due(r, 1+n)
	e := history.Event{Op: history.Reschedule, Call: w.rec.Call(), ID: t.ID, DueMS: to.UnixMilli()}
	return w.transact(w.txKind(r), []history.Event{e}, func(ctx context.Context, tx *sql.Tx) error {
		return w.s.RescheduleTx(ctx, tx, t.ID, to)
	})
}

// confirmTx confirms d in a transaction, which may be rolled back, and then settles d.
func (w *worker) confirmTx(d *triggerhook.Delivery, n int64, r *rand.Rand) {
	k := w.txKind(r)
	if r.IntN(25) == 0 && !w.Brief {
		k.hold = leaseTime/2 + time.Duration(r.Int64N(int64(leaseTime)))
	}
	asked := false
	got := w.transact(k, []history.Event{{Op: history.ConfirmTx, Call: n, ID: d.ID}}, func(ctx context.Context, tx *sql.Tx) error {
		asked = true
		return d.ConfirmTx(ctx, tx)
	})
	if got == history.Aborted && (!asked || r.IntN(3) > 0) { // without a ConfirmTx a Confirm would delete the row
		w.fail(d, n, errors.New("the transaction was rolled back"), retryDelay)
		return
	}
	e := history.Event{Op: history.Settle, Call: n, ID: d.ID}
	w.rec.Write(e)
	w.end(e, d.Confirm(context.Background()))
}

// record tells what the run has left: which transactions have committed, and which dead letters there are.
func (st *stage) record(ctx context.Context) error {
	names, err := st.db.QueryContext(ctx, "SELECT tx FROM "+st.ns+"_ledger")
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer names.Close()
	var lines []history.Event
	for names.Next() {
		e := history.Event{Op: history.Committed}
		if err := names.Scan(&e.Tx); err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		lines = append(lines, e)
	}
	letters, err := st.db.QueryContext(ctx, "SELECT id, ver, reason, attempt FROM "+st.ns+"_dead")
	if err = errors.Join(names.Err(), err); err != nil {
		return fmt.Errorf("read the dead letters: %w", err)
	}
	defer letters.Close()
	for letters.Next() {
		e := history.Event{Op: history.Letter}
		if err := letters.Scan(&e.ID, &e.Ver, &e.Reason, &e.Attempt); err != nil {
			return fmt.Errorf("read the dead letters: %w", err)
		}
		lines = append(lines, e)
	}
	st.rec.Write(append(lines, history.Event{Op: history.Ledger})...)
	return letters.Err()
}
