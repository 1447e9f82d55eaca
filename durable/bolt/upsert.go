package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// Upsert implements durable.Store. It decides about all rows before it changes any.
func (s *Store) Upsert(ctx context.Context, rows []task.Row, on task.OnConflict) ([]task.Upserted, error) {
	if err := on.Check(); err != nil || len(rows) == 0 {
		return nil, err
	}
	act := fmt.Sprintf("upsert %d tasks", len(rows))
	own, err := owned(rows)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	var done []task.Upserted
	err = s.write(ctx, act, func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		all, old, err := t.decide(own, on)
		if err != nil {
			return err
		}
		for i, d := range all {
			if err := t.change(old[i], d); err != nil {
				return &brokenError{err}
			}
		}
		done = all
		return nil
	})
	if commitFailed(err) {
		return nil, doubtful(replaced(done), err)
	}
	if err != nil {
		return nil, err
	}
	return done, nil
}

// replaced returns the versions that rows had before they were changed.
func replaced(done []task.Upserted) (was []task.Ref) {
	for _, d := range done {
		if d.Outcome == task.Replaced {
			was = append(was, d.Was)
		}
	}
	return was
}

// decide says what is to become of each row, and returns with it the row that is stored.
func (t *table) decide(rows []task.Row, on task.OnConflict) (all []task.Upserted, old []task.Row, err error) {
	prev := &task.PrevError{}
	for _, r := range rows {
		is, ok, err := t.get(r.ID)
		if err != nil {
			return nil, nil, err
		}
		d := decided(r, is, ok, on)
		if (d.Outcome == task.Replaced || on == task.Replace && d.Outcome == task.Kept) && is.Ver != r.Ver && is.PrevVer != 0 && is.PrevVer != r.PrevVer {
			prev.Refs = append(prev.Refs, task.Ref{ID: r.ID, Ver: is.PrevVer})
		}
		all, old = append(all, d), append(old, is)
	}
	if len(prev.Refs) > 0 {
		return nil, nil, prev
	}
	return all, old, nil
}

// decided says what is to become of r, if is is stored (ok).
func decided(r, is task.Row, ok bool, on task.OnConflict) task.Upserted {
	to := is
	switch {
	case !ok || is.Ver == r.Ver && is.PrevVer == 0:
		r.PrevVer = 0
		return task.Upserted{Outcome: task.Created, Row: r}
	case is.Ver == r.Ver || is.PrevVer == r.Ver: // by an earlier try
		return task.Upserted{Outcome: task.Replaced, Was: task.Ref{ID: r.ID, Ver: is.PrevVer}, Row: copied(is)}
	case on == task.Keep, on == task.Earliest && is.NextMS <= r.NextMS, on == task.Replace && is.Headers == r.Headers && bytes.Equal(is.Payload, r.Payload):
		return task.Upserted{Outcome: task.Kept}
	case on == task.Replace:
		to.Payload, to.Headers, to.Size = r.Payload, r.Headers, r.Bytes()
	case on == task.Earliest:
		to.NextMS, to.DueMS = r.NextMS, r.DueMS
	case on == task.Debounce:
		to = r
		to.CreatedMS = is.CreatedMS
	}
	to.Ver, to.PrevVer = r.Ver, is.Ver
	return task.Upserted{Outcome: task.Replaced, Was: is.Ref, Row: copied(to)}
}

// copied copies the payload, which is valid in the transaction only.
func copied(r task.Row) task.Row {
	r.Payload = slices.Clone(r.Payload)
	return r
}

// change makes what was decided of the row that is stored.
func (t *table) change(is task.Row, d task.Upserted) error {
	switch {
	case d.Outcome == task.Kept || is.Ver == d.Row.Ver && is.ID == d.Row.ID: // as it is, or stored by an earlier try
		return nil
	case d.Outcome == task.Created:
		return t.put(d.Row)
	}
	return errors.Join(t.remove(is), t.put(d.Row))
}
