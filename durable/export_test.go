package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Flights is how many statements of concurrent calls may be under way together.
const Flights = flights

// SetTimeout gives each statement of m this time.
func (m *MySQL) SetTimeout(d time.Duration) { m.timeout = d }

// SetPacket has m take that for the packets of the server, so that its statements are small.
func (m *MySQL) SetPacket(bytes int64) { m.packet.Store(bytes) }

// Later sets the clock by which m keeps the low bound ahead by that much.
func (m *MySQL) Later(d time.Duration) { m.low.now = func() time.Time { return time.Now().Add(d) } }

// DeleteByIDTogether deletes ids[i] above aboveMS[i] for each i, as calls of DeleteByID that share their statements in that order.
func (m *MySQL) DeleteByIDTogether(ids [][]string, aboveMS []int64) ([][]task.Row, error) {
	calls := make([]deletionByID, len(ids))
	for i := range ids {
		calls[i] = deletionByID{ids: ids[i], aboveMS: aboveMS[i]}
	}
	rows, errs := make([][]task.Row, len(ids)), make([]error, len(ids))
	for i, r := range m.deleteAllByID(calls) {
		rows[i], errs[i] = r.Value, r.Err
	}
	return rows, errors.Join(errs...)
}

// Low returns the low bound that is recorded.
func (m *MySQL) Low(ctx context.Context) (ms int64, err error) {
	err = m.bounded(ctx, "read the low bound", func(ctx context.Context, conn *sql.Conn) error {
		b, err := m.readLow(ctx, conn)
		ms = b.LowMS
		return err
	})
	return ms, err
}

// SchemaVersion is the schema version of this library.
func (m *MySQL) SchemaVersion() int { return len(m.schema) }

// AddMigration has m know one migration more, as the next version of this library will.
func (m *MySQL) AddMigration(compatible int, statements ...string) {
	m.schema = append(m.schema[:len(m.schema):len(m.schema)], migration{fmt.Sprintf("%04d_next.sql", len(m.schema)+1), compatible, statements})
}

// ParseMigration reads a migration, and returns which versions work with it and its statements.
func ParseMigration(name, text, ns string) (compatible int, statements []string, err error) {
	m, err := parseMigration(name, text, ns)
	return m.compatible, m.statements, err
}
