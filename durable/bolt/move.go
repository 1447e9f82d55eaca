package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// owned copies rows, because a commit may outlive its call.
func owned(rows []task.Row) ([]task.Row, error) {
	own := make([]task.Row, len(rows))
	for i, r := range rows {
		if len(r.Headers) > task.MaxHeaders {
			return nil, fmt.Errorf("%w: task %.32q has %d bytes of headers, at most %d are kept", task.ErrTooLarge, r.ID, len(r.Headers), task.MaxHeaders)
		}
		own[i] = r
		own[i].Payload = slices.Clone(r.Payload)
	}
	return own, nil
}

// Move implements durable.Store.
func (s *Store) Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	return s.move(ctx, ref, to, func(r *task.Row) { r.Payload = slices.Clone(r.Payload) })
}

// Replace implements durable.Store.
func (s *Store) Replace(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	own, err := owned([]task.Row{to})
	if err != nil {
		return false, fmt.Errorf("replace task: %w", err)
	}
	return s.move(ctx, ref, to, func(r *task.Row) { r.Payload, r.Headers = own[0].Payload, own[0].Headers })
}

// move gives the row of ref what Move sets, and what set sets. The row that set is given has a payload that is valid in
// the transaction only, and is removed before it is put again.
func (s *Store) move(ctx context.Context, ref task.Ref, to task.Row, set func(*task.Row)) (moved bool, err error) {
	err = s.write(ctx, "move task", func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err == nil {
			moved, err = t.move(ref, to, set)
		}
		return err
	})
	if commitFailed(err) && moved {
		return false, doubtful([]task.Ref{ref}, err)
	}
	return err == nil && moved, err // in this order: if err says that ctx has ended, moved may still be written
}

// MoveMany implements durable.Store.
func (s *Store) MoveMany(ctx context.Context, moves []task.Move) ([]bool, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	moves = slices.Clone(moves) // because a commit may outlive its call
	var moved []bool
	var refs []task.Ref
	err := s.write(ctx, fmt.Sprintf("move %d tasks", len(moves)), func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		all := make([]bool, len(moves))
		for i, mv := range moves {
			to := task.Row{Ref: task.Ref{ID: mv.ID, Ver: mv.To}, NextMS: mv.DueMS, DueMS: mv.DueMS}
			if all[i], err = t.move(mv.Ref, to, func(r *task.Row) { r.Payload = slices.Clone(r.Payload) }); err != nil {
				return err
			}
			if all[i] {
				refs = append(refs, mv.Ref)
			}
		}
		moved = all
		return nil
	})
	if commitFailed(err) {
		return nil, doubtful(refs, err)
	}
	if err != nil { // in this order: if err says that ctx has ended, rows may still be moved
		return nil, err
	}
	return moved, nil
}

// move moves a row in a transaction, and reports whether it was there, or was moved by an earlier try.
func (t *table) move(ref task.Ref, to task.Row, set func(*task.Row)) (bool, error) {
	r, ok, err := t.get(ref.ID)
	if err != nil {
		return false, err
	}
	if !ok || r.Ver != ref.Ver {
		return ok && r.Ver == to.Ver, nil
	}
	old := r
	r.Ver, r.PrevVer, r.NextMS, r.DueMS, r.Attempt = to.Ver, r.Ver, to.NextMS, to.DueMS, to.Attempt
	set(&r)
	if err := errors.Join(t.remove(old), t.put(r)); err != nil {
		return false, &brokenError{err}
	}
	return true, nil
}
