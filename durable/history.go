package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// slotsAtOnce is in how many slots one statement looks an id up: two months.
const slotsAtOnce = 360

// History implements Historian. It looks the id up in each slot from the last to the first, and passes over what is empty between them.
func (m *MySQL) History(ctx context.Context, id string, limit int) (all []task.Ending, err error) {
	err = m.bounded(ctx, fmt.Sprintf("read the history of task %q", id), func(ctx context.Context, conn *sql.Conn) error {
		all = nil
		for upTo := int64(task.MaxDue / task.SlotMS); upTo >= 0 && len(all) < limit; {
			m.next(ctx)
			last, some, err := m.doneSlot(ctx, conn, "last_done", upTo)
			if err != nil || !some {
				return err
			}
			upTo = last - slotsAtOnce
			found, err := m.listDone(ctx, conn, id, max(0, upTo+1), last, limit-len(all))
			if err != nil {
				return err
			}
			all = append(all, found...)
		}
		return nil
	})
	return all, err
}

// doneSlot returns the slot that a statement finds, and whether it finds one.
func (m *MySQL) doneSlot(ctx context.Context, conn *sql.Conn, stmt string, args ...any) (slot int64, some bool, err error) {
	err = conn.QueryRowContext(ctx, m.sql[stmt], args...).Scan(&slot)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return slot, err == nil, err
}

func (m *MySQL) listDone(ctx context.Context, conn *sql.Conn, id string, from, to int64, limit int) ([]task.Ending, error) {
	args := make([]any, 0, slotsAtOnce+2)
	for slot := from; slot <= to; slot++ {
		args = append(args, slot)
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(args)), ",")
	rows, err := conn.QueryContext(ctx, strings.Replace(m.sql["list_done"], "{slots}", marks, 1), append(args, []byte(id), limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []task.Ending
	for rows.Next() {
		var e task.Ending
		if err := rows.Scan(&e.ID, &e.EndedMS, &e.Ver, &e.How, &e.DueMS, &e.CreatedMS, &e.DeliveredMS, &e.Attempt, &e.Worker,
			&e.Reason, &e.LastError); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// PurgeHistory implements Historian. Each commit begins at the first slot that is left, as those of PurgeDead do.
func (m *MySQL) PurgeHistory(ctx context.Context, beforeMS int64, most int) (total int, err error) {
	before := beforeMS / task.SlotMS
	for from, some := int64(0), true; some && total < most; {
		n := 0
		err := m.boundedIn(ctx, fresh, "purge the history", func(ctx context.Context, conn *sql.Conn) (err error) {
			if from, some, err = m.doneSlot(ctx, conn, "first_done", from, before); err != nil || !some {
				return err
			}
			n, err = affected(conn.ExecContext(ctx, m.sql["purge_done"], from, before, min(purgeRows, most-total)))
			return err
		})
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}
