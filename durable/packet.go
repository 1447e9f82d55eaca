package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// Bytes of a statement. Both limits of a packet, the server's max_allowed_packet
// and the driver's maxAllowedPacket, may be small; the second cannot be asked for,
// so it is learned when the driver refuses a statement.

const (
	mostBytes  = 4 << 20  // more made statements no faster
	leastBytes = 16 << 10 // MySQL's smallest packet is 1 KiB; a row that is larger goes alone
	rowBytes   = 120      // numbers, placeholders and quotes of a row
	refBytes   = 32       // the same of an id with its version
)

// budget is how many bytes a statement of several rows may have: half a packet,
// because other things are in there too.
func (m *MySQL) budget() int64 {
	most := int64(mostBytes)
	if p := m.packet.Load(); p > 0 {
		most = min(most, p/2)
	}
	return max(most, 1)
}

// shrink halves the budget after a statement of that many rows was too large, and
// reports whether smaller ones are worth a try.
func (m *MySQL) shrink(rows int) bool {
	b := m.budget()
	if rows < 2 || b < leastBytes {
		return false
	}
	m.packet.Store(b) // of which budget takes half
	return true
}

// size is how long r is in a statement when each of its bytes is escaped.
func size(r task.Row) int64 { return rowBytes + 2*int64(len(r.ID)+r.Bytes()) }

// checkSize refuses a row that no packet of the server can hold. Sent all the
// same, it would cost the connection, which looks like a server that is away.
func (m *MySQL) checkSize(rows []task.Row) error {
	p := m.server.Load()
	for _, r := range rows {
		if n := int64(len(r.ID) + r.Bytes()); p > 0 && n >= p {
			return fmt.Errorf("%w: task %.32q has %d bytes, the server's max_allowed_packet is %d", task.ErrTooLarge, r.ID, n, p)
		}
	}
	return nil
}

// MaxPayload implements what Run asks of a Store that can tell: how long a payload the server's
// max_allowed_packet is sure to take, with an id and headers of any length and each byte escaped;
// 0 if it takes none.
func (m *MySQL) MaxPayload(ctx context.Context) (int, error) {
	err := m.bounded(ctx, "read max_allowed_packet", func(context.Context, *sql.Conn) error { return nil }) // the session's setting reads it
	if err != nil {
		return 0, err
	}
	return int(max(0, (m.server.Load()-rowBytes)/2-task.MaxID-task.MaxHeaders)), nil
}

// escapedTooLarge reports whether a row, its bytes escaped, may be larger than a
// packet of the server.
func (m *MySQL) escapedTooLarge(rows []task.Row) bool {
	p := m.server.Load()
	for _, r := range rows {
		if p > 0 && size(r) > p {
			return true
		}
	}
	return false
}

// share is a call's share of a statement in rows: of maxRows, or of the packet.
func (m *MySQL) share(rows []task.Row) int {
	n := 0
	for _, r := range rows {
		n += m.rowShare(r)
	}
	return n
}

func (m *MySQL) rowShare(r task.Row) int { return m.part(size(r)) }

func (m *MySQL) refShare(r task.Ref) int { return m.idShare(r.ID) }

func (m *MySQL) idShare(id string) int { return m.part(refBytes + 2*int64(len(id))) }

// idsShare is a call's share of a statement in rows.
func (m *MySQL) idsShare(ids []string) int {
	n := 0
	for _, id := range ids {
		n += m.idShare(id)
	}
	return n
}

// part is how many of maxRows that many bytes are worth.
func (m *MySQL) part(bytes int64) int {
	b := m.budget()
	return int(max(1, (bytes*maxRows+b-1)/b))
}

// eachPart sends items in statements, each with a time of its own, and in smaller ones once
// one was too large.
func eachPart[T any](ctx context.Context, m *MySQL, items []T, share func(T) int, send func([]T) error) error {
	for len(items) > 0 {
		part := split(items, share)[0]
		m.next(ctx)
		err := send(part)
		if tooLarge(err) && m.shrink(len(part)) {
			continue
		}
		if err != nil {
			return err
		}
		items = items[len(part):]
	}
	return nil
}

// tooLarge reports whether smaller statements may mend err: not where it is a value
// that is too long for its column.
func tooLarge(err error) bool {
	n := number(err)
	return n != 1406 && n != 1118 && (errors.Is(err, task.ErrTooLarge) || errors.Is(kindOf(err), task.ErrTooLarge))
}

// split cuts items into statements.
func split[T any](items []T, share func(T) int) [][]T {
	var parts [][]T
	start, weight := 0, 0
	for i, it := range items {
		w := share(it)
		if i > start && weight+w > maxRows {
			parts = append(parts, items[start:i])
			start, weight = i, 0
		}
		weight += w
	}
	if start < len(items) {
		parts = append(parts, items[start:])
	}
	return parts
}
