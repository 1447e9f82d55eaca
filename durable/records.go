package durable

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// Records implements Store.
func (m *MySQL) Records(ctx context.Context) (task.Records, error) {
	r := task.Records{}
	err := m.bounded(ctx, "read the records", func(ctx context.Context, conn *sql.Conn) error {
		r.Values = map[string]string{}
		asked := m.low.now()
		rows, err := conn.QueryContext(ctx, m.sql["get_records"])
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, value string
			if err := rows.Scan(&name, &value); err != nil {
				return err
			}
			r.Values[name] = value
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return m.learnLow(r.Values, asked)
	})
	return r, err
}

// SwapRecord implements Store.
func (m *MySQL) SwapRecord(ctx context.Context, name, old, to string) (swapped bool, err error) {
	if err := checkRecord(name, to); err != nil {
		return false, err
	}
	err = m.bounded(ctx, "record "+name, func(ctx context.Context, conn *sql.Conn) error {
		stmt, args := m.sql["insert_meta"], []any{[]byte(name), []byte(to)}
		if old != "" {
			stmt, args = m.sql["swap_meta"], []any{[]byte(to), []byte(name), []byte(old)}
		}
		if _, err := conn.ExecContext(ctx, stmt, args...); err != nil {
			return err
		}
		var is []byte // not by the count, which does not include a try whose answer was lost
		err := conn.QueryRowContext(ctx, m.sql["get_meta"], []byte(name)).Scan(&is)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		swapped = err == nil && string(is) == to
		return err
	})
	return swapped, err
}

// checkRecord refuses a record that the table cannot hold.
func checkRecord(name, value string) error {
	if len(name) < 1 || len(name) > task.MaxRecordName || len(value) < 1 || len(value) > task.MaxRecord {
		return fmt.Errorf("%w: record %q of %d bytes, want a name of 1 to %d and a value of 1 to %d bytes",
			task.ErrInvalid, name, len(value), task.MaxRecordName, task.MaxRecord)
	}
	return nil
}

// newIdentity returns an identity for a store that has none: 26 random letters and digits.
func newIdentity() string { return rand.Text() }
