package bolt

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// Records implements durable.Store. This process alone has the file, so a process that recorded
// something before it was opened has ended.
func (s *Store) Records(ctx context.Context) (task.Records, error) {
	r := task.Records{Values: map[string]string{}, Past: map[string]bool{}}
	err := s.view(ctx, "read the records", func(t *table) error {
		return t.meta.ForEach(func(name, value []byte) error {
			r.Values[string(name)] = string(value)
			if _, own := s.recorded.Load(string(name)); !own {
				r.Past[string(name)] = true
			}
			return nil
		})
	})
	return r, err
}

// SwapRecord implements durable.Store.
func (s *Store) SwapRecord(ctx context.Context, name, old, to string) (bool, error) {
	if len(name) < 1 || len(name) > task.MaxRecordName || len(to) < 1 || len(to) > task.MaxRecord {
		return false, fmt.Errorf("%w: record %q of %d bytes, want a name of 1 to %d and a value of 1 to %d bytes",
			task.ErrInvalid, name, len(to), task.MaxRecordName, task.MaxRecord)
	}
	swapped := false // read only once the write is over: it may outlive the call
	err := s.write(ctx, "record "+name, func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		is := string(t.meta.Get([]byte(name)))
		if is == old {
			s.recorded.Store(name, true) // before it is there to be read
			if err := t.meta.Put([]byte(name), []byte(to)); err != nil {
				return &brokenError{err}
			}
			is = to
		}
		swapped = is == to
		return nil
	})
	if err != nil {
		return false, err
	}
	return swapped, nil
}
