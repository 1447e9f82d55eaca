package durable

import (
	"context"
	"database/sql"

	"github.com/triggerhook/triggerhook/task"
)

// ScanDown implements Store. It ends at the low bound at the latest.
func (m *MySQL) ScanDown(ctx context.Context, before task.Cursor, fromMS int64, limit, inline int) ([]task.Row, error) {
	return m.page(ctx, limit, inline, func(ctx context.Context, conn *sql.Conn, most int) ([]task.Row, error) {
		from, err := m.startOf(ctx, conn, task.Cursor{NextMS: fromMS})
		if err != nil {
			return nil, err
		}
		return query(ctx, conn, m.sql["scan_tasks_down"], most, before.NextMS, []byte(before.ID), before.NextMS, from.NextMS, limit)
	})
}

// ScanIDs implements Store.
func (m *MySQL) ScanIDs(ctx context.Context, prefix, after string, limit, inline int) ([]task.Row, error) {
	return m.page(ctx, limit, inline, func(ctx context.Context, conn *sql.Conn, most int) ([]task.Row, error) {
		return query(ctx, conn, m.sql["scan_ids"], most, []byte(prefix), []byte(after), afterPrefix(prefix), limit)
	})
}
