package durable

import (
	"context"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// TxConfirmer is a Store whose rows can be deleted in a transaction of the caller's own.
type TxConfirmer interface {
	// ConfirmTx deletes the row of ref in tx if it exists in that version, and reports whether it did. It waits
	// for a transaction that has locked the row. It is not tried again: after an error the caller rolls tx back. If it
	// meets no row, tx may hold a lock on the gap where it would be, until it ends.
	ConfirmTx(ctx context.Context, tx task.Tx, ref task.Ref) (bool, error)
}

var _ TxConfirmer = (*MySQL)(nil)

// ConfirmTx implements TxConfirmer. DELETE is a current read under each isolation level: it sees what others have committed
// since the snapshot of tx. The session is the caller's, so the id is bound as bytes.
func (m *MySQL) ConfirmTx(ctx context.Context, tx task.Tx, ref task.Ref) (bool, error) {
	n, err := affected(tx.ExecContext(ctx, expand(m.sql["delete_tasks"], 1), refArgs([]task.Ref{ref})...))
	if err != nil {
		return false, fmt.Errorf("delete a task in a transaction: %w", typed(err))
	}
	return n > 0, nil
}
