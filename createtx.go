package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// noteEvery is how often a process notes at most that it uses transactions of callers. Workers drain the outbox
	// often for a minute after a note.
	noteEvery = 15 * time.Second
	// noteTimeout bounds a note, and noteRetry is how long after a note that failed the next one comes. Without a note
	// a task is found later.
	noteTimeout = time.Second
	noteRetry   = time.Second
)

// txStore is the store as far as it can change rows in transactions of callers.
type txStore struct {
	store durable.TxStore // nil: it cannot

	mu    sync.Mutex
	noted time.Time // when this process has tried last to note that it uses it
}

// useTx returns the store for a call in a transaction, and makes sure that workers drain the outbox often. Callers
// that come while a note is under way wait for it.
func (s *Scheduler) useTx(ctx context.Context, tx Tx) (durable.TxStore, error) {
	if isNil(tx) {
		return nil, fmt.Errorf("%w: tx is nil", ErrInvalid)
	}
	if s.txs.store == nil {
		return nil, fmt.Errorf("%w: a transaction of the caller's own needs durable.NewMySQL", ErrUnsupported)
	}
	s.txs.mu.Lock()
	defer s.txs.mu.Unlock()
	if !s.txs.noted.IsZero() && time.Since(s.txs.noted) < noteEvery {
		return s.txs.store, nil
	}
	now := time.Now()
	short, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	err := s.txs.store.NoteTxUse(short)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.txs.noted = now
	if err != nil {
		s.txs.noted = now.Add(noteRetry - noteEvery)
		s.report.Error("note the use of a transaction", err, "what it changes is found within a minute of its commit")
	}
	return s.txs.store, nil
}

// CreateTx stores tasks in a transaction of the caller's own, all or none. They exist if and only if the caller
// commits it, also if the process dies right after the commit: no call is needed then. It fills in IDs and rounds due times as
// Create does.
//
// The transaction must be on the database that has the tasks, and may have any session settings and
// isolation level. Begin it on a *sql.DB other than the store's: a call also reads on a connection of the store, and would wait
// for one that another such transaction holds. It may be used for anything else before and after. The library never commits it or rolls it back.
//
// Tasks that are due when the transaction commits are delivered up to about 250 ms later, the first after a minute
// without such calls (CreateTx, DeleteTx or RescheduleTx) up to about 1.5 s later. If no process of the
// namespace has made such a call in the minute before the commit, it is 10 s. Workers of a version without these
// calls do not look for what they have changed.
//
// ErrInvalid, ErrTooLarge, ErrUnsupported (the embedded store has no such transactions): nothing was sent, and the transaction may
// go on. ErrExists: none of the tasks was stored, and the transaction may go on. After any other error the caller
// rolls back: the server may have rolled back already (a deadlock), or have kept a part. Nothing is retried. The limits are those of Create.
// The locks of the new rows are held until the transaction ends: keep it short.
func (s *Scheduler) CreateTx(ctx context.Context, tx Tx, tasks ...*Task) error {
	rows, err := s.rows(tasks)
	if err != nil || len(rows) == 0 {
		return err
	}
	store, err := s.useTx(ctx, tx)
	if err == nil {
		err = s.checkProducers(ctx)
	}
	if err != nil {
		return fmt.Errorf("create in a transaction: %w", err)
	}

	// The caller's commit is the commit point (RowFirst, Outbox). A crash before it leaves nothing. A crash
	// after it leaves rows and entries of the outbox. The drainer, which runs in the feeder's process
	// (internal/agent/drainer.go), finds the entries, and adds the rows to the hot set.
	if err := store.CreateTx(ctx, tx, rows); err != nil {
		return err
	}
	failpoint.Hit("createtx/end")
	return nil
}

// DeleteTx deletes tasks in a transaction of the caller's own: their rows are gone if and only if the caller commits
// it. Unlike Delete it cannot tell whether a worker has claimed a task, because the claim may come before the
// commit. A task may still be delivered up to about 250 ms after the commit (see CreateTx), or later if a worker had
// claimed it before. Confirm of that delivery answers ErrGone.
//
// Until the transaction ends its tasks are delivered as before, and a worker's Confirm waits for it.
//
// An IDError names the IDs that were not found (ErrNotFound); the others are deleted, and the transaction may go on. Other errors are
// those of CreateTx. A call takes at most 100,000 IDs.
func (s *Scheduler) DeleteTx(ctx context.Context, tx Tx, ids ...string) error {
	for _, id := range ids {
		if err := task.CheckID(id); err != nil {
			return fmt.Errorf("delete in a transaction: %w", errors.Join(err, &IDError{Invalid: []string{id}}))
		}
	}
	if len(ids) > mostTasks {
		return fmt.Errorf("delete in a transaction: %w: %d tasks in one call, at most %d are taken", ErrTooLarge, len(ids), mostTasks)
	}
	if len(ids) == 0 {
		return nil
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	store, err := s.useTx(ctx, tx)
	if err != nil {
		return fmt.Errorf("delete in a transaction: %w", err)
	}
	rows, err := store.LockTx(ctx, tx, ids)
	if err == nil && len(rows) > 0 {
		err = s.keepTx(ctx, tx, rows)
	}
	if err == nil && len(rows) > 0 {
		err = store.DeleteTx(ctx, tx, rows)
	}
	if err != nil {
		return err
	}
	if len(rows) < len(ids) {
		found := make([]task.Row, len(rows))
		for i, r := range rows {
			found[i].Ref = r.Ref
		}
		return &IDError{NotFound: missing(ids, found)}
	}
	return nil
}

// RescheduleTx gives a task another due time in a transaction of the caller's own: it has that time if and only if
// the caller commits it. Until about 250 ms after the commit (see CreateTx) a worker may still claim the task at its
// old time. A delivery from before can no longer confirm the task (ErrGone), and the task is delivered again at its new time.
//
// ErrNotFound: there is no such task. ErrInvalid: also if due is later than Task.Expires, which stays; nothing has changed. Other errors
// are those of CreateTx. If the task was moved before, the hot set
// must answer, because it may hold an older version; if it does not, the error tells so, and nothing has changed.
func (s *Scheduler) RescheduleTx(ctx context.Context, tx Tx, id string, due time.Time) error {
	dueMS, err := task.DueMS(due)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("reschedule in a transaction: %w", err)
	}
	store, err := s.useTx(ctx, tx)
	if err != nil {
		return fmt.Errorf("reschedule in a transaction: %w", err)
	}
	rows, err := store.LockTx(ctx, tx, []string{id})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("reschedule in a transaction: %w", &IDError{NotFound: []string{id}})
	}
	from := rows[0]
	if err := (edit{due: true, dueMS: dueMS}).check(task.Row{Ref: from.Ref, ExpiresMS: from.ExpiresMS}); err != nil {
		return fmt.Errorf("reschedule in a transaction: %w", err)
	}
	if from.Committed && from.PrevVer != 0 { // so that there is never a third version: the previous one is gone for certain, by a commit
		prev := task.Ref{ID: id, Ver: from.PrevVer}
		if _, err := s.set.Remove(ctx, task.Partition(id, s.parts), "", []task.Ref{prev}); err != nil {
			return fmt.Errorf("reschedule in a transaction: the previous version: %w", err)
		}
	}
	return store.MoveTx(ctx, tx, from, task.Row{Ref: task.Ref{ID: id, Ver: task.NewVer()}, NextMS: dueMS, DueMS: dueMS})
}
