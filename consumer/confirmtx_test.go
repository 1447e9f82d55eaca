package consumer_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/internal/verdict"
	"github.com/triggerhook/triggerhook/task"
)

// fakeTx deletes rows of its store when it is committed.
type fakeTx struct {
	r       *rows
	deletes []task.Ref
}

func (*fakeTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { return nil, nil }
func (*fakeTx) QueryContext(context.Context, string, ...any) (*sql.Rows, error) { return nil, nil }
func (*fakeTx) Rollback() error                                                 { return nil }

func (x *fakeTx) Commit() error {
	x.r.mu.Lock()
	defer x.r.mu.Unlock()
	for _, ref := range x.deletes {
		delete(x.r.byID, ref.ID)
	}
	return nil
}

// ConfirmTx is that of a durable store with transactions.
func (r *rows) ConfirmTx(_ context.Context, tx task.Tx, ref task.Ref) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fail(); err != nil {
		return false, err
	}
	row, ok := r.byID[ref.ID]
	if ok = ok && row.Ver == ref.Ver; ok {
		x := tx.(*fakeTx)
		x.deletes = append(x.deletes, ref)
	}
	return ok, nil
}

// After ConfirmTx the row says what became of the transaction, whatever the handler says: a task whose transaction has
// committed is not delivered again, and one whose transaction has not is, and is not deleted.
func TestTheRowSaysWhatBecameOfATransaction(t *testing.T) {
	for name, c := range map[string]struct {
		commit bool
		err    error // of the handler
		again  bool
	}{
		"committed, nil":            {true, nil, false},
		"committed, error":          {true, errors.New("later"), false},
		"committed, snooze":         {true, &verdict.Verdict{Act: verdict.Snooze}, false},
		"committed, last attempt":   {true, &verdict.Verdict{Act: verdict.Discard}, false},
		"rolled back, nil":          {false, nil, true},
		"rolled back, error":        {false, errors.New("no"), true},
		"rolled back, then snoozed": {false, &verdict.Verdict{Act: verdict.Snooze}, true},
	} {
		o, log := logged(consumer.Options{})
		bubble(t, o, func(k *kit) {
			_, attempts := tries(k, func(ctx context.Context, d *consumer.Delivery) error {
				if d.Attempt > 1 || len(k.store.moves) > 0 {
					return nil
				}
				tx := &fakeTx{r: k.store}
				if err := d.ConfirmTx(ctx, tx); err != nil {
					k.Errorf("%s: ConfirmTx: %v", name, err)
				}
				if ctx.Err() != nil {
					k.Errorf("%s: the context has ended with the transaction open", name)
				}
				if c.commit {
					_ = tx.Commit()
					return c.err
				}
				if k.store.moves = append(k.store.moves, task.Row{}); k.store.len() != 1 {
					k.Errorf("%s: the row is gone before the commit", name)
				}
				return c.err
			})
			f, st := k.c.Figures(), k.state()
			if want := 1 + int(one(c.again)); len(attempts) != want || k.store.len() != 0 || st.Waiting+st.Claimed != 0 || len(k.store.letters()) != 0 {
				k.Errorf("%s: attempts %v, %d rows, %d letters, state %+v; want %d attempts and nothing left: %s", name, attempts, k.store.len(), len(k.store.letters()), st, want, log.b.String())
			}
			if want := uint64(one(c.again || c.err == nil)); f.Confirmed != want {
				k.Errorf("%s: %d confirmed, want %d", name, f.Confirmed, want)
			}
		})
	}
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// Who uses Consume ends a delivery with Confirm, which tells what became of the transaction.
func TestConfirmTellsWhatBecameOfATransaction(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(3, false)
		k.run()
		ctx := k.Context()
		a, b, gone := k.consume(), k.consume(), k.consume()
		tx := &fakeTx{r: k.store}
		if err := a.ConfirmTx(ctx, tx); err != nil {
			k.Fatal(err)
		}
		_ = tx.Commit()
		if err := a.Confirm(ctx); err != nil {
			k.Errorf("Confirm after the commit: %v", err)
		}
		if err := a.ConfirmTx(ctx, tx); !errors.Is(err, task.ErrSettled) {
			k.Errorf("ConfirmTx of what is settled: %v, want ErrSettled", err)
		}
		if err := errors.Join(b.ConfirmTx(ctx, &fakeTx{r: k.store})); err != nil {
			k.Fatal(err)
		}
		if err := b.Confirm(ctx); err == nil || errors.Is(err, task.ErrGone) || k.store.len() != 2 {
			k.Errorf("Confirm without a commit: %v, %d rows; want an error, and both rows", err, k.store.len())
		}
		k.deleteRow(gone)
		if err := gone.ConfirmTx(ctx, &fakeTx{r: k.store}); !errors.Is(err, task.ErrGone) {
			k.Errorf("ConfirmTx without a row: %v, want ErrGone", err)
		}
		if err := gone.Rollback(ctx, 0); !errors.Is(err, task.ErrGone) {
			k.Errorf("Rollback without a row: %v, want ErrGone", err)
		}
		if err := (&consumer.Delivery{}).ConfirmTx(ctx, nil); !errors.Is(err, task.ErrInvalid) {
			k.Errorf("ConfirmTx in nil: %v, want ErrInvalid", err)
		}
		<-time.After(time.Minute)
		if again := k.consume(); again.ID != b.ID || again.Attempt != 2 {
			k.Errorf("delivered %s, attempt %d; want %s again", again.ID, again.Attempt, b.ID)
		}
	})
}
