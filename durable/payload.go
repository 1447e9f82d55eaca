package durable

import (
	"context"
	"database/sql"
	"math"

	"github.com/triggerhook/triggerhook/task"
)

// Bytes of an answer, in which headers count as part of their payloads. A thousand rows may have 16 GiB of payloads, which no statement may
// answer at once: it has a limited time, and both sides hold what is sent. So a statement of
// n rows asks for payloads of at most 1/n of task.MostBytes, and for the lengths of the
// others. Of these one more statement reads as many as fit into task.MostBytes.

// inlineOf is how long a payload may be of which n come in one answer: one may have any length.
func inlineOf(n int) int {
	if n <= 1 {
		return math.MaxInt32
	}
	return task.MostBytes / n
}

// Get implements Store.
func (m *MySQL) Get(ctx context.Context, ids []string) ([]task.Row, error) {
	rows, err := m.getEach(ctx, ids, inlineOf(min(len(ids), maxRows)))
	if err != nil {
		return nil, err
	}
	cut, longest := toFill(rows, math.MaxInt32)
	if len(cut) == 0 {
		return rows, nil
	}
	again, err := m.getEach(ctx, cut, longest)
	if err != nil {
		return nil, err
	}
	asked := make(map[string]bool, len(cut))
	for _, id := range cut {
		asked[id] = true
	}
	for _, r := range rows {
		if !asked[r.ID] {
			again = append(again, r)
		}
	}
	return again, nil
}

// toFill returns the ids of rows whose payloads of at most inline bytes were left out, as
// far as they fit into an answer, and how long the longest of these is. It names one at least
// if no row is whole.
func toFill(rows []task.Row, inline int) (cut []string, longest int) {
	held, whole := 0, false
	for _, r := range rows {
		held += r.Bytes()
		whole = whole || !r.Cut()
	}
	for _, r := range rows {
		if r.Cut() && r.Size <= inline && (held+r.Size <= task.MostBytes || !whole && len(cut) == 0) {
			held, longest = held+r.Size, max(longest, r.Size)
			cut = append(cut, r.ID)
		}
	}
	return cut, longest
}

// getEach reads the rows of ids, with payloads of at most inline bytes.
func (m *MySQL) getEach(ctx context.Context, ids []string, inline int) (rows []task.Row, err error) {
	err = eachPart(ctx, m, ids, m.idShare, func(part []string) error {
		return m.bounded(ctx, "get tasks", func(ctx context.Context, conn *sql.Conn) error {
			found, err := query(ctx, conn, expand(m.sql["get_tasks"], len(part)), inline, idArgs(part)...)
			if err == nil {
				rows = append(rows, found...)
			}
			return err
		})
	})
	return rows, err
}

// Scan implements Store. It starts at the low bound at the earliest.
func (m *MySQL) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	return m.page(ctx, limit, inline, func(ctx context.Context, conn *sql.Conn, most int) ([]task.Row, error) {
		from, err := m.startOf(ctx, conn, after)
		if err != nil {
			return nil, err
		}
		return query(ctx, conn, m.sql["scan_tasks"], most, from.NextMS, []byte(from.ID), from.NextMS, belowMS, limit)
	})
}

// page reads a page of rows with their payloads. The function read reads the page with payloads of at most
// most bytes, and page reads the longer ones, as far as they fit into an answer.
func (m *MySQL) page(ctx context.Context, limit, inline int, read func(ctx context.Context, conn *sql.Conn, most int) ([]task.Row, error)) (rows []task.Row, err error) {
	err = m.bounded(ctx, "scan tasks", func(ctx context.Context, conn *sql.Conn) (err error) {
		rows, err = read(ctx, conn, min(inline, inlineOf(limit)))
		return err
	})
	if err != nil {
		return nil, err
	}
	cut, longest := toFill(rows, inline)
	if len(cut) == 0 {
		return rows, nil
	}
	found, err := m.getEach(ctx, cut, longest)
	whole := make(map[task.Ref]task.Row, len(found))
	for _, r := range found {
		whole[r.Ref] = r
	}
	for i, r := range rows {
		if w := whole[r.Ref]; r.Cut() && w.Bytes() == r.Size { // a version has one payload, and headers
			rows[i].Payload, rows[i].Headers = w.Payload, w.Headers
		}
	}
	return rows, err
}
