package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// Window implements Store.
func (m *MySQL) Window(ctx context.Context) (w task.Window, err error) {
	err = m.bounded(ctx, "read the window", func(ctx context.Context, conn *sql.Conn) error {
		w, err = m.window(ctx, conn)
		return err
	})
	return w, err
}

func (m *MySQL) window(ctx context.Context, conn *sql.Conn) (w task.Window, err error) {
	var value []byte
	err = conn.QueryRowContext(ctx, m.sql["get_meta"], []byte(windowName)).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return w, nil
	}
	if err == nil {
		err = w.UnmarshalText(value)
	}
	return w, err
}

// windowName is the name under which the window is recorded.
const windowName = "window_ms"

// SwapWindow implements Store.
func (m *MySQL) SwapWindow(ctx context.Context, old, to task.Window) (swapped bool, err error) {
	value, err := to.MarshalText()
	before, e := old.MarshalText()
	if err = errors.Join(err, e); err != nil {
		return false, fmt.Errorf("record a window: %w", err)
	}
	err = m.bounded(ctx, "record a window", func(ctx context.Context, conn *sql.Conn) error {
		stmt, args := m.sql["insert_meta"], []any{[]byte(windowName), value}
		if old != (task.Window{}) {
			stmt, args = m.sql["swap_meta"], []any{value, []byte(windowName), before}
		}
		if _, err := conn.ExecContext(ctx, stmt, args...); err != nil {
			return err
		}
		is, err := m.window(ctx, conn) // rather than the count, which does not tell of a try whose answer was lost
		swapped = is == to
		return err
	})
	return swapped, err
}
