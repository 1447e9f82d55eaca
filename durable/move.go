package durable

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// Move implements Store.
func (m *MySQL) Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	return m.move(ctx, ref, to, "move_task", to.NextMS, to.DueMS, to.Ver, to.Attempt)
}

// Replace implements Store.
func (m *MySQL) Replace(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	if err := m.checkSize([]task.Row{to}); err != nil {
		return false, fmt.Errorf("replace task: %w", err)
	}
	headers, payload := textArgs(to)
	moved, err := m.move(ctx, ref, to, "replace_task", to.NextMS, to.DueMS, to.Ver, to.Attempt, headers, payload)
	if connLost(err) && m.escapedTooLarge([]task.Row{to}) {
		err = fmt.Errorf("%w, or %w", task.ErrTooLarge, err)
	}
	return moved, err
}

// move runs a statement that sets set, moves the row of ref to the version of to, and names ref.
func (m *MySQL) move(ctx context.Context, ref task.Ref, to task.Row, stmt string, set ...any) (bool, error) {
	args := append(set, []byte(ref.ID), ref.Ver)
	moved, maybe := false, false // maybe: a try has moved it, or its answer was lost
	update := func(ctx context.Context, conn *sql.Conn) error {
		n, err := affected(conn.ExecContext(ctx, m.sql[stmt], args...))
		moved = n > 0
		maybe = maybe || moved || unsure(err)
		return err
	}
	try := func(ctx context.Context, conn *sql.Conn) error {
		if err := update(ctx, conn); moved || err != nil {
			return err
		}
		old, err := m.turnFresh(ctx, conn)
		if err == nil && old {
			err = update(ctx, conn)
		}
		if moved || err != nil {
			return err
		}
		found, err := m.versions(ctx, conn, []string{ref.ID})
		if err != nil {
			return err
		}
		existing, ok := found[ref.ID]
		if moved = ok && existing.Ver == to.Ver; !moved && maybe {
			return task.ErrGone
		}
		return nil
	}
	err := m.boundedIn(ctx, certified, "move task", func(ctx context.Context, conn *sql.Conn) error {
		return m.aboveBound(ctx, conn, to.NextMS, func() error { return try(ctx, conn) })
	})
	if err != nil && maybe {
		return false, doubtful([]task.Ref{ref}, err)
	}
	return err == nil && moved, err
}
