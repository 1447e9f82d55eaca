package durable_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// cutOnce loses one connection at the first UPDATE of a task, before it or after it, and calls
// f before the next statement is sent.
func (w *wire) cutOnce(before bool, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost, done := false, false
	w.lose = func(c call) (bool, bool) {
		switch {
		case !lost && strings.HasPrefix(c.stmt, "UPDATE `t_task`"):
			lost = true
			return before, !before
		case lost && !done:
			done = true
			f()
		}
		return false, false
	}
}

// A move that ends with an error names its row if that may be moved, and only then.
func TestAFailedMoveSaysWhetherTheRowMayBeMoved(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		other := open(t, w.open(t))
		rows, refs := numbered(8)
		now := time.Now().UnixMilli()
		mustCreate(t, s, rows)
		for i, c := range []struct {
			name    string
			spoil   func(t *testing.T, ref task.Ref)
			unsure  bool
			kind    error // that the error matches
			further bool  // a hold of the low bound is needed after the move, and fails
		}{
			{name: "the answers are lost", spoil: func(*testing.T, task.Ref) { w.cut("UPDATE `t_task`") }, unsure: true, kind: task.ErrUnavailable},
			{name: "it is refused", spoil: func(*testing.T, task.Ref) { w.answer(&mysql.MySQLError{Number: 1290}, 9, "UPDATE `t_task`") }, kind: task.ErrReadOnly},
			{name: "a lock is waited for", spoil: func(*testing.T, task.Ref) { w.answer(&mysql.MySQLError{Number: 1205}, 9, "UPDATE `t_task`") }, kind: task.ErrUnavailable},
			{name: "one is lost, and the row is deleted", spoil: func(t *testing.T, ref task.Ref) {
				w.cutOnce(true, func() { mustDelete(t, other, ref) })
			}, unsure: true, kind: task.ErrGone},
			{name: "one is made and lost, and the row is deleted", spoil: func(t *testing.T, ref task.Ref) {
				w.cutOnce(false, func() { mustDelete(t, other, task.Ref{ID: ref.ID, Ver: 1000}) })
			}, unsure: true, kind: task.ErrGone},
			{name: "one is made and lost, and the row is moved on", spoil: func(t *testing.T, ref task.Ref) {
				w.cutOnce(false, func() {
					if ok, err := other.Move(t.Context(), task.Ref{ID: ref.ID, Ver: 1000}, task.Row{Ref: task.Ref{ID: ref.ID, Ver: 1001}, NextMS: now}); !ok || err != nil {
						t.Errorf("Move: %t, %v", ok, err)
					}
				})
			}, unsure: true, kind: task.ErrGone},
			{name: "it is made, and what follows fails", spoil: func(*testing.T, task.Ref) {
				w.mu.Lock()
				defer w.mu.Unlock()
				moved := false
				w.fail = func(c call) error {
					if moved = moved || strings.HasPrefix(c.stmt, "UPDATE `t_task`"); moved && strings.Contains(c.stmt, "t_meta") {
						return &mysql.MySQLError{Number: 1290}
					}
					return nil
				}
			}, unsure: true, kind: task.ErrReadOnly, further: true},
			{name: "it is gone before", spoil: func(t *testing.T, ref task.Ref) { mustDelete(t, other, ref) }},
		} {
			t.Run(c.name, func(t *testing.T) {
				defer w.mend()
				c.spoil(t, refs[i])
				to := task.Row{Ref: task.Ref{ID: refs[i].ID, Ver: 1000}, NextMS: now}
				if c.further { // its commit takes so long that the time that it looked at is old
					w.mu.Lock()
					w.hold = func(c call) error {
						if strings.HasPrefix(c.stmt, "UPDATE `t_task`") {
							s.Later(10 * time.Minute)
						}
						return nil
					}
					w.mu.Unlock()
				}
				moved, err := s.Move(t.Context(), refs[i], to)
				if moved || !errors.Is(err, c.kind) {
					t.Errorf("Move: %t, %v; want false, %v", moved, err, c.kind)
				}
				if got := slices.Contains(task.Unsure(err), refs[i]); got != c.unsure {
					t.Errorf("Move: %v: unsure %t, want %t", err, got, c.unsure)
				}
			})
		}
	})
}

func mustDelete(t *testing.T, s *durable.MySQL, ref task.Ref) {
	t.Helper()
	if deleted, err := s.Delete(context.WithoutCancel(t.Context()), []task.Ref{ref}); err != nil || !deleted[0] {
		t.Errorf("Delete of %v: %v, %v", ref, deleted, err)
	}
}
