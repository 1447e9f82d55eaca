package durable

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// purgeRows is how many dead letters one commit deletes.
const purgeRows = 1000

// Dead implements Store.
func (m *MySQL) Dead(ctx context.Context, f task.DeadFilter, after task.DeadCursor, limit int) (page task.DeadPage, err error) {
	limit = max(1, min(limit, maxRows))
	err = m.bounded(ctx, "list dead letters", func(ctx context.Context, conn *sql.Conn) error {
		page = task.DeadPage{}
		found, err := m.deadAfter(ctx, conn, f, after, limit)
		if err != nil {
			return err
		}
		page.More = len(found) == limit
		return m.fillPage(ctx, conn, f, found, &page)
	})
	return page, err
}

// lettered is a dead letter as a page holds it, with the length of its payload and headers.
type lettered struct {
	task.Dead
	size int
}

// deadAfter reads limit dead letters after the cursor, of which f may mean some.
func (m *MySQL) deadAfter(ctx context.Context, conn *sql.Conn, f task.DeadFilter, after task.DeadCursor, limit int) ([]lettered, error) {
	inline, id := inlineOf(limit), []byte(after.ID)
	if f.IDPrefix != "" {
		if after.ID < f.IDPrefix {
			id, after.Ver = []byte(f.IDPrefix), math.MinInt64
		}
		return queryDead(ctx, conn, m.sql["list_dead_by_id"], inline, inline, id, after.Ver, id, afterPrefix(f.IDPrefix), limit)
	}
	if after.DeadMS < f.FromMS {
		id, after = []byte{}, task.DeadCursor{DeadMS: f.FromMS} // nil would be NULL
	}
	before := f.BeforeMS
	if before == 0 {
		before = math.MaxInt64
	}
	return queryDead(ctx, conn, m.sql["list_dead"], inline, inline, after.DeadMS, id, after.Ver, after.DeadMS, id, after.DeadMS, before, limit)
}

// afterPrefix returns what lies above all ids that begin with prefix.
func afterPrefix(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return []byte(strings.Repeat("\xff", task.MaxID+1))
}

func queryDead(ctx context.Context, conn *sql.Conn, stmt string, args ...any) ([]lettered, error) {
	rows, err := conn.QueryContext(ctx, stmt, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []lettered
	for rows.Next() {
		var d lettered
		var headers sql.RawBytes
		if err := rows.Scan(&d.DeadMS, &d.ID, &d.Ver, &d.DueMS, &d.CreatedMS, &d.ExpiresMS, &d.Attempt, &d.Reason, &d.LastError,
			&d.size, &headers, &d.Payload); err != nil {
			return nil, err
		}
		d.Headers = string(headers)
		all = append(all, d)
	}
	return all, rows.Err()
}

// fillPage takes over what f means, as far as all payloads fit. Of the long ones it reads one after the other.
func (m *MySQL) fillPage(ctx context.Context, conn *sql.Conn, f task.DeadFilter, found []lettered, page *task.DeadPage) error {
	bytes := 0
	for _, d := range found {
		if f.Matches(d.Dead) {
			if bytes += d.size; bytes > task.MostBytes && len(page.Dead) > 0 {
				page.More = true
				return nil
			}
			if len(d.Payload)+len(d.Headers) < d.size {
				is, err := m.readDead(ctx, conn, &d.Dead)
				if err != nil {
					return err
				}
				if !is { // purged or requeued meanwhile
					page.Next = d.Cursor()
					continue
				}
			}
			if len(d.Payload) == 0 {
				d.Payload = nil
			}
			page.Dead = append(page.Dead, d.Dead)
		}
		page.Next = d.Cursor()
	}
	return nil
}

// readDead reads headers and payload of d, and reports whether it is there.
func (m *MySQL) readDead(ctx context.Context, conn *sql.Conn, d *task.Dead) (bool, error) {
	var headers sql.RawBytes
	rows, err := conn.QueryContext(ctx, m.sql["get_dead"], []byte(d.ID), d.Ver)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, rows.Err()
	}
	err = rows.Scan(&headers, &d.Payload)
	d.Headers = string(headers)
	return true, errors.Join(err, rows.Close())
}

// PurgeDead implements Store. Each commit begins at the first dead letter that is left, so that rows which were deleted and
// which an old transaction still sees are read once.
func (m *MySQL) PurgeDead(ctx context.Context, beforeMS int64) (total int64, err error) {
	for from := int64(0); ; {
		n, some := 0, false
		err := m.boundedIn(ctx, fresh, "purge dead letters", func(ctx context.Context, conn *sql.Conn) error {
			var attempt int
			err := conn.QueryRowContext(ctx, m.sql["first_dead"], from, beforeMS).Scan(&from, &attempt)
			if some = err == nil; !some {
				if errors.Is(err, sql.ErrNoRows) {
					return nil
				}
				return err
			}
			n, err = affected(conn.ExecContext(ctx, m.sql["purge_dead"], from, beforeMS, purgeRows))
			return err
		})
		total += int64(n)
		if err != nil || !some {
			return total, err
		}
	}
}

// DeleteDead implements Store.
func (m *MySQL) DeleteDead(ctx context.Context, refs []task.Ref) (n int64, err error) {
	if len(refs) == 0 {
		return 0, nil
	}
	refs = slices.SortedFunc(slices.Values(refs), func(a, b task.Ref) int { return strings.Compare(a.ID, b.ID) })
	err = m.bounded(ctx, "delete dead letters", func(ctx context.Context, conn *sql.Conn) error {
		deleted, err := affected(conn.ExecContext(ctx, expand(m.sql["delete_dead_letters"], len(refs)), refArgs(refs)...))
		n = int64(deleted)
		return err
	})
	return n, err
}

// CountDead implements Store.
func (m *MySQL) CountDead(ctx context.Context, limit int) (n int64, exact bool, err error) {
	err = m.bounded(ctx, "count dead letters", func(ctx context.Context, conn *sql.Conn) error {
		if err := conn.QueryRowContext(ctx, m.sql["count_dead"], limit+1).Scan(&n); err != nil {
			return err
		}
		if exact = n <= int64(limit); exact {
			return nil
		}
		est, err := m.estimate(ctx, conn, "estimate_dead")
		n = max(n, est)
		return err
	})
	return n, exact, err
}
