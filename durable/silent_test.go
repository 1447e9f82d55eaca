package durable_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A server that takes statements and never answers, on connections that do not
// break, is unavailable to callers that set no limit of their own. A worker that
// waits for it for ever keeps the leases of what it cannot deliver.
func TestASilentServerIsUnavailable(t *testing.T) {
	t.Run("mysql97", func(t *testing.T) {
		server := testserver.Own(t, testserver.MySQL)
		s := migrated(t, server.DB(t, "interpolateParams=true"))
		rows, refs := numbered(3)
		if err := s.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		server.Pause()
		defer server.Continue()
		ctx := context.Background()
		if _, err := s.Delete(ctx, refs[:1]); !errors.Is(err, task.ErrUnavailable) || !slices.Equal(task.Unsure(err), refs[:1]) {
			t.Errorf("Delete: %v, unsure of %v, want ErrUnavailable, and unsure of its row", err, task.Unsure(err))
		}
		var all sync.WaitGroup
		for name, call := range map[string]func() error{
			"Get":      func() error { _, err := s.Get(ctx, []string{"task-00000"}); return err },
			"Versions": func() error { _, err := s.Versions(ctx, []string{"task-00000"}); return err },
			"Scan":     func() error { _, err := s.Scan(ctx, task.Cursor{}, 10, 10, 10); return err },
			"Count":    func() error { _, _, err := s.Count(ctx, 10); return err },
			"Move":     func() error { _, err := s.Move(ctx, refs[0], rows[0]); return err },
			"MoveMany": func() error { _, err := s.MoveMany(ctx, []task.Move{{Ref: refs[0], To: 9}}); return err },
			"Check":    func() error { return s.Check(ctx, 1) },
			"Create":   func() error { return s.Create(ctx, []task.Row{{Ref: task.Ref{ID: "new", Ver: 1}}}) },
			"Delete":   func() error { _, err := s.Delete(ctx, refs); return err },
		} {
			all.Go(func() {
				got := make(chan error, 1)
				go func() { got <- call() }()
				select {
				case err := <-got:
					if !errors.Is(err, task.ErrUnavailable) {
						t.Errorf("%s: %v, want ErrUnavailable", name, err)
					}
				case <-time.After(40 * time.Second):
					t.Errorf("%s waits for ever", name)
				}
			})
		}
		all.Wait()
	})
}
