package consumer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/task"
)

// ConfirmTx deletes the row of a delivery in a transaction of the caller's own. The library does not see how that
// transaction ends. Protocol (docs/model/confirmtx.pml):
//
//	X1  The transaction deletes the row in the version that was delivered (VersionFenced). A delivery that meets no row is
//	    told ErrGone, and its caller rolls back. So of all deliveries of a task one transaction commits.
//	X2  Until the caller ends the delivery it keeps its lease. Then the settler looks at the row, and only then acts: if the
//	    row is gone, the member is removed; if it still exists, the transaction was rolled back, or goes on, and the
//	    task is given back. After a ConfirmTx the row of this delivery is deleted by a caller's transaction alone, or by its
//	    burial if its caller says that it failed.
//	X3  A transaction that is still open when the task is given back is safe: its row is locked, so that the ConfirmTx of
//	    another delivery waits for its end, and meets no row if it has committed.

// txConfirmer is a Store that can delete a row in a transaction of the caller's own.
type txConfirmer interface {
	// ConfirmTx deletes the row of ref in tx if it exists in that version, and reports whether it did.
	ConfirmTx(ctx context.Context, tx task.Tx, ref task.Ref) (bool, error)
}

// txState says what a delivery's ConfirmTx did last. It is atomic, because a caller may settle in another goroutine.
type txState struct{ v atomic.Int32 }

const (
	noTx      int32 = iota // ConfirmTx was not called
	txUnsure               // it is under way, has failed, or met no row
	txDeletes              // it has deleted the row, if its transaction commits
)

func (s *txState) used() bool { return s.v.Load() != noTx }

// ConfirmTx says in a transaction of the caller's own, in the same MySQL as the task, that the task is done: its row is
// deleted if and only if tx commits. So what the caller writes in tx happens exactly once, however often the task is
// delivered: of all its deliveries only one can commit.
//
// Nil: tx deletes the row; commit it. Then return nil from the Handler, or call Confirm, which answers nil once it has seen
// that the row is gone. Any error: roll tx back. task.ErrGone: the row is gone, because another delivery has committed, or
// the task was deleted or rescheduled; there is nothing left to do. task.ErrUnsupported: the durable store has no
// transactions that a caller could share. task.ErrSettled: d was settled before.
//
// The lease is kept until d is settled. Whatever settles d looks at the row first: if tx was not committed the task is
// offered again, counted as a failed attempt, and Confirm answers an error. ConfirmTx waits while another transaction that
// has confirmed the same task is open, as long as ctx and the server's lock wait allow. Under REPEATABLE READ it sees
// what others have committed, also after the snapshot of tx.
func (d *Delivery) ConfirmTx(ctx context.Context, tx task.Tx) error {
	if v := reflect.ValueOf(tx); tx == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("confirm %q in a transaction: %w: tx is nil", d.ID, task.ErrInvalid)
	}
	if d.settlement.is(settled) {
		return fmt.Errorf("confirm %q in a transaction: %w", d.ID, task.ErrSettled)
	}
	if d.c == nil {
		return nil
	}
	store, is := d.c.store.(txConfirmer)
	if !is {
		return fmt.Errorf("confirm %q in a transaction: %w: a transaction of the caller's own needs durable.NewMySQL", d.own.ID, task.ErrUnsupported)
	}
	d.tx.v.Store(txUnsure)
	existed, err := false, d.keepTx(ctx, tx)
	if err == nil {
		existed, err = store.ConfirmTx(ctx, tx, d.own)
	}
	if err == nil && !existed {
		err = task.ErrGone
	}
	if err != nil {
		return fmt.Errorf("confirm %q in a transaction: %w", d.own.ID, err)
	}
	d.tx.v.Store(txDeletes)
	return nil
}

// errNotCommitted is what a delivery is told that succeeded, and whose row still exists after a ConfirmTx.
var errNotCommitted = errors.New("the transaction of ConfirmTx is not committed; the task is offered again")

// endTx ends a delivery that has used ConfirmTx, and whose caller says that it succeeded. It returns where the outcome
// will be. async: no caller waits for it, so it is reported.
func (s *settler) endTx(d *Delivery, async bool) <-chan error {
	s.started()
	done := make(chan error, 1)
	go func() {
		gone, err := s.lookAfterTx(d)
		switch {
		case err == nil && gone && d.tx.v.Load() == txDeletes:
			s.c.figures.confirmed.Add(1)
			s.c.tellConfirmed([]*Delivery{d}, []error{nil})
		case err == nil && gone:
			err = task.ErrGone
		case err == nil:
			err = errNotCommitted
			delay := retrypolicy.Exponential{}.Delay(retrypolicy.Failure{Attempt: d.failedAttempts + 1})
			if s.release(d, redelivery{delay, true}) == nil {
				s.c.figures.rolledBack.Add(1)
			}
		}
		if err != nil {
			err = fmt.Errorf("confirm %q: %w", d.own.ID, err)
		}
		if async {
			s.report(d, err)
		}
		s.complete([]*Delivery{d})
		done <- err
	}()
	return done
}

// lookAfterTx reports whether the row of d is gone, and removes its member then. Which transaction or call has deleted the
// row is not known. So the member is removed as one whose row was deleted elsewhere: a Delete learns that a worker had it.
func (s *settler) lookAfterTx(d *Delivery) (gone bool, err error) {
	err = s.persist("look after a transaction", 1, func(ctx context.Context) error {
		exists, err := s.c.rowExists(ctx, d)
		gone = err == nil && !exists
		return err
	})
	if gone {
		deletedHere := []bool{false}
		s.removeMembers([]*Delivery{d}, []task.Ref{d.own}, deletedHere)
	}
	return gone, err
}
