package durable

import (
	"context"
	"database/sql"
	"time"
)

// SetTimeout gives each statement of m this time.
func (m *MySQL) SetTimeout(d time.Duration) { m.timeout = d }

// SetPacket has m take that for the packets of the server, so that its statements are small.
func (m *MySQL) SetPacket(bytes int64) { m.packet.Store(bytes) }

// Later sets the clock by which m keeps the low bound ahead by that much.
func (m *MySQL) Later(d time.Duration) { m.low.now = func() time.Time { return time.Now().Add(d) } }

// Low returns the low bound that is recorded.
func (m *MySQL) Low(ctx context.Context) (ms int64, err error) {
	err = m.bounded(ctx, "read the low bound", func(ctx context.Context, conn *sql.Conn) error {
		b, err := m.readLow(ctx, conn)
		ms = b.LowMS
		return err
	})
	return ms, err
}
