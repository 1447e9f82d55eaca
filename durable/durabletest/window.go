package durabletest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

func windowIsSwapped(t *testing.T, s durable.Store) {
	none, new, first, second := task.Window{}, task.Window{AnnouncedMS: 1000}, task.Window{SettledMS: 1000, AnnouncedMS: 1000}, task.Window{SettledMS: 1000, AnnouncedMS: 86_400_000}
	for _, c := range []struct {
		old, to task.Window
		swapped bool
		is      task.Window
	}{
		{first, second, false, none},
		{none, new, true, new},
		{none, first, false, new},
		{none, new, true, new}, // a retry
		{new, first, true, first},
		{second, first, true, first},
		{second, none, false, first},
		{first, second, true, second},
		{first, second, true, second},
	} {
		if got, err := s.SwapWindow(t.Context(), c.old, c.to); c.to != none && (got != c.swapped || err != nil) || c.to == none && got {
			t.Errorf("SwapWindow(%v, %v) answered %t, %v; want %t", c.old, c.to, got, err, c.swapped)
		}
		if got, err := s.Window(t.Context()); got != c.is || err != nil {
			t.Errorf("after SwapWindow(%v, %v) the window is %v, %v; want %v", c.old, c.to, got, err, c.is)
		}
	}
}

func oneSwapperWins(t *testing.T, s durable.Store) {
	old := task.Window{}
	for range 5 {
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				to := task.Window{SettledMS: old.SettledMS + int64(i) + 1, AnnouncedMS: 1000}
				ok, err := s.SwapWindow(t.Context(), old, to)
				if err != nil && !errors.Is(err, task.ErrUnavailable) {
					t.Errorf("SwapWindow: %v", err)
				}
				if ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		is, err := s.Window(t.Context())
		if won.Load() != 1 || is.SettledMS <= old.SettledMS || err != nil {
			t.Fatalf("of 8 who swapped %v at once %d have done so; it is %v, %v", old, won.Load(), is, err)
		}
		old = is
	}
}
