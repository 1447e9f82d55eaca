package durable

import (
	"context"
	"database/sql"

	"github.com/triggerhook/triggerhook/task"
)

// CountBefore implements Store. The estimate is the optimizer's, which looks at a few pages at both ends of the range.
func (m *MySQL) CountBefore(ctx context.Context, fromMS int64, beforeMS []int64, limit int) ([]task.Count, error) {
	var all []task.Count
	err := m.bounded(ctx, "count tasks before a time", func(ctx context.Context, conn *sql.Conn) error {
		from, err := m.startOf(ctx, conn, task.Cursor{NextMS: fromMS})
		if err != nil {
			return err
		}
		c := rangeCounter{m: m, conn: conn, limit: int64(limit), doneMS: from.NextMS, exact: true}
		all = make([]task.Count, 0, len(beforeMS))
		for _, ms := range beforeMS {
			if err := c.countTo(ctx, ms); err != nil {
				return err
			}
			all = append(all, task.Count{N: c.n, Exact: c.exact})
		}
		return nil
	})
	return all, err
}

// rangeCounter counts rows, up to one time after another. It counts exactly until it has met more than
// limit rows, and adds up estimates from there on: each of the rows between two times, because the difference of two estimates of
// long ranges says nothing of a short one.
type rangeCounter struct {
	m     *MySQL
	conn  *sql.Conn
	limit int64

	doneMS int64 // n counts the rows up to here
	n      int64
	exact  bool
	total  int64 // the estimate of all rows, 0 until it is needed
}

// countTo counts up to ms. The number never falls below that of an earlier time.
func (c *rangeCounter) countTo(ctx context.Context, ms int64) error {
	if ms <= c.doneMS {
		return nil
	}
	if c.exact {
		var more int64
		err := c.conn.QueryRowContext(ctx, c.m.sql["count_range"], c.doneMS, ms, c.limit+1-c.n).Scan(&more)
		if err != nil {
			return err
		}
		if c.exact = c.n+more <= c.limit; c.exact {
			c.n, c.doneMS = c.n+more, ms
			return nil
		}
	}
	n, err := c.estimate(ctx, ms)
	c.n, c.doneMS = max(c.n+n, c.limit+1), ms
	return err
}

// estimate estimates the rows from doneMS up to ms. InnoDB answers no more than half of the table for a range, however many rows
// the range has. So the estimate of a range near that is the number of all rows, less what is outside of the range.
func (c *rangeCounter) estimate(ctx context.Context, ms int64) (int64, error) {
	n, err := c.m.estimate(ctx, c.conn, "estimate_range", c.doneMS, ms)
	if err != nil {
		return 0, err
	}
	if c.total == 0 {
		if c.total, err = c.m.estimate(ctx, c.conn, "estimate_tasks"); err != nil {
			return 0, err
		}
	}
	if n < c.total*nearHalf/100 {
		return n, nil
	}
	before, err := c.m.estimate(ctx, c.conn, "estimate_range", 0, c.doneMS)
	if err != nil {
		return 0, err
	}
	after, err := c.m.estimate(ctx, c.conn, "estimate_range", ms, task.MaxDue)
	return max(n, c.total-before-after), err
}

// nearHalf: from which share of all rows on, in percent, an estimate may be the one that InnoDB has cut to half.
const nearHalf = 45
