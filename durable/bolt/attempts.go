package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// RaiseAttempts implements durable.Store.
func (s *Store) RaiseAttempts(ctx context.Context, counts []task.Attempts) (int, error) {
	own := slices.Clone(counts)
	raised := 0
	err := s.write(ctx, fmt.Sprintf("raise attempts of %d tasks", len(own)), func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		for _, a := range own {
			r, ok, err := t.get(a.ID)
			if err == nil && ok && r.Ver == a.Ver && r.Attempt < a.Attempt {
				old := r
				r.Attempt, r.Payload = a.Attempt, slices.Clone(r.Payload)
				err = errors.Join(t.remove(old), t.put(r))
				raised++
			}
			if err != nil {
				return &brokenError{err} // others before it may be raised
			}
		}
		return nil
	})
	if err != nil {
		return 0, err // raised may still change
	}
	return raised, nil
}
