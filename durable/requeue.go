package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// Requeue implements Store.
//
// Protocol: BEGIN; INSERT ... SELECT, which copies the dead letter to the tasks inside the server; DELETE of the dead letter;
// COMMIT. If either meets no row the dead letter is gone, and the transaction rolls back. A task of that ID makes the INSERT
// fail (1062).
//
// If the answer to a COMMIT was lost the next try finds no dead letter. Then that COMMIT has made the row.
func (m *MySQL) Requeue(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	moved, maybe := false, false
	err := m.bounded(ctx, "requeue task", func(ctx context.Context, conn *sql.Conn) error {
		return m.aboveBound(ctx, conn, to.NextMS, func() (err error) {
			moved, err = m.requeue(ctx, conn, ref, to)
			maybe = maybe || unsure(err)
			return err
		})
	})
	if number(err) == duplicate {
		return false, fmt.Errorf("requeue task: %w", &task.IDError{Exists: []string{ref.ID}})
	}
	return err == nil && (moved || maybe), err
}

func (m *MySQL) requeue(ctx context.Context, conn *sql.Conn, ref task.Ref, to task.Row) (bool, error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	n, err := affected(tx.ExecContext(ctx, m.sql["requeue_dead"], to.NextMS, to.DueMS, to.Ver, []byte(ref.ID), ref.Ver))
	if err == nil && n > 0 {
		n, err = affected(tx.ExecContext(ctx, m.sql["delete_dead"], []byte(ref.ID), ref.Ver))
	}
	if err != nil || n == 0 {
		return false, errors.Join(err, rollback(tx))
	}
	return true, tx.Commit()
}
