package bolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// windowName is the name under which the window is recorded.
var windowName = []byte("window_ms")

// Window implements durable.Store.
func (s *Store) Window(ctx context.Context) (w task.Window, err error) {
	err = s.view(ctx, "read the window", func(t *table) error {
		w, err = t.window()
		return err
	})
	return w, err
}

// SwapWindow implements durable.Store.
func (s *Store) SwapWindow(ctx context.Context, old, to task.Window) (bool, error) {
	value, err := to.MarshalText()
	if err != nil {
		return false, err
	}
	swapped := false // read only once the write is over: it may outlive the call
	err = s.write(ctx, "record a window", func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		is, err := t.window()
		if err == nil && is == old {
			if err = t.meta.Put(windowName, value); err != nil {
				return &brokenError{err}
			}
			is = to
		}
		swapped = err == nil && is == to
		return err
	})
	if err != nil {
		return false, err
	}
	return swapped, nil
}

func (t *table) window() (w task.Window, err error) {
	if value := t.meta.Get(windowName); value != nil {
		err = w.UnmarshalText(value)
	}
	return w, err
}
