package durable

import (
	"cmp"
	"context"
	"database/sql"
	"strconv"

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

// lookRows is at how many rows one call looks at most for those of a time.
const lookRows = 20_000

// ScanIDs implements Store. If r has a time that leaves out rows, it looks for the rows of that time in the index of ids, at 20,000 entries
// in a call: the index has the times too, so that the rows of other times are not read.
func (m *MySQL) ScanIDs(ctx context.Context, r task.Range, after string, limit, inline int) (page task.IDPage, err error) {
	page.Rows, err = m.page(ctx, limit, inline, func(ctx context.Context, conn *sql.Conn, most int) ([]task.Row, error) {
		end := afterPrefix(r.IDPrefix)
		page = task.IDPage{Next: after}
		if r.FromMS > 0 || r.BelowMS <= task.MaxDue {
			c, err := m.countIDs(ctx, conn, r, after, lookRows)
			if page.Next, page.More = c.Next.ID, c.More; err != nil || c.N == 0 {
				return nil, err
			}
			end = append([]byte(page.Next), 0) // what lies above that ID: no ID has a NUL
		}
		return query(ctx, conn, m.sql["scan_ids"], most, []byte(r.IDPrefix), []byte(after), end, r.FromMS, r.BelowMS, limit)
	})
	if len(page.Rows) == limit {
		page.Next, page.More = page.Rows[limit-1].ID, true
	}
	return page, err
}

// CountPage implements Store.
func (m *MySQL) CountPage(ctx context.Context, r task.Range, after task.Cursor) (page task.CountPage, err error) {
	err = m.bounded(ctx, "count tasks", func(ctx context.Context, conn *sql.Conn) (err error) {
		if r.IDPrefix != "" {
			page, err = m.countIDs(ctx, conn, r, after.ID, lookRows)
		} else {
			page, err = m.countTimes(ctx, conn, r, after, lookRows)
		}
		return err
	})
	return page, err
}

// countIDs looks at the next rows of the prefix of r, at most look of them.
func (m *MySQL) countIDs(ctx context.Context, conn *sql.Conn, r task.Range, after string, look int) (page task.CountPage, err error) {
	looked, not := 0, cmp.Or(r.NotMS, -1)
	err = conn.QueryRowContext(ctx, m.sql["count_ids"], r.FromMS, r.BelowMS, not, []byte(r.IDPrefix), []byte(after), afterPrefix(r.IDPrefix), look).
		Scan(&looked, &page.N, &page.Next.ID)
	page.More = looked == look
	return page, err
}

// countTimes looks at the next rows of the time of r, at most look of them.
func (m *MySQL) countTimes(ctx context.Context, conn *sql.Conn, r task.Range, after task.Cursor, look int) (page task.CountPage, err error) {
	if after.NextMS < r.FromMS {
		after = task.Cursor{NextMS: r.FromMS}
	}
	if after, err = m.startOf(ctx, conn, after); err != nil {
		return page, err
	}
	looked, not, last := 0, cmp.Or(r.NotMS, -1), ""
	err = conn.QueryRowContext(ctx, m.sql["count_times"], not, after.NextMS, []byte(after.ID), after.NextMS, r.BelowMS, look).Scan(&looked, &page.N, &last)
	if page.More = looked == look; err != nil || !page.More {
		return page, err
	}
	page.Next.ID = last[timeDigits:]
	page.Next.NextMS, err = strconv.ParseInt(last[:timeDigits], 10, 64)
	return page, err
}

// timeDigits is how many digits the time has in the last value of count_times.sql.
const timeDigits = 20
