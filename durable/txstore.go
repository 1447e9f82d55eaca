package durable

import (
	"context"

	"github.com/triggerhook/triggerhook/task"
)

// TxStore is a Store that can change rows in a transaction of the caller's own (task.Tx), on the database that has
// the rows. The effect exists if and only if the caller commits. MySQL is a TxStore; the embedded store is none.
//
// Outbox: whatever changes rows in a caller's transaction writes an entry for each version that it makes or ends, in
// the same transaction, because the library does not see the commit. A drainer reads the entries, tells the hot set
// what became of these versions, and deletes exactly the entries that it has read (docs/model/outbox.pml).
//
// The methods that take a Tx try nothing twice. After an error the caller rolls back, with two exceptions: ErrInvalid and
// ErrExists leave the transaction as it was. The end of ctx ends the connection of a *sql.Tx, and its
// transaction with it. ErrInvalid: the transaction has ended. ErrNotMigrated: it is on another server or in
// another database than the rows, or Migrate has not run.
type TxStore interface {
	Store

	// NoteTxUse records that transactions are in use, so that the outbox is drained often for a while
	// (task.RecordTxUse). It uses a connection of the store's own.
	NoteTxUse(ctx context.Context) error

	// CreateTx inserts rows, all or none. Ids are distinct. A *task.IDError with Exists names the ids that
	// exist, if they can be told; nothing was inserted then.
	CreateTx(ctx context.Context, tx task.Tx, rows []task.Row) error

	// LockTx locks the rows that exist of ids until the transaction ends, and returns them, in no particular order.
	// Ids are distinct; absent ones are left out, and no gap is locked for them, unless they are deleted
	// at this moment.
	LockTx(ctx context.Context, tx task.Tx, ids []string) ([]task.LockedRow, error)

	// DeleteTx deletes rows that LockTx has returned in this transaction.
	DeleteTx(ctx context.Context, tx task.Tx, rows []task.LockedRow) error

	// MoveTx gives a row that LockTx has returned in this transaction a new version and time, as Store.Move does.
	// If from was not Committed, the previous version stays what it was, because the hot set cannot hold from.
	MoveTx(ctx context.Context, tx task.Tx, from task.LockedRow, to task.Row) error

	// Outbox returns at most limit committed entries whose Key is above after, in the order of their keys.
	// A page shorter than limit is the last.
	Outbox(ctx context.Context, after int64, limit int) ([]task.OutboxEntry, error)

	// DeleteOutbox deletes the entries with exactly these keys.
	DeleteOutbox(ctx context.Context, keys []int64) error

	// HoldBound makes sure that a committed row which is next offered at nextMS is not below the low bound: its
	// transaction may have been open for longer than the bound stays behind the time.
	HoldBound(ctx context.Context, nextMS int64) error
}
