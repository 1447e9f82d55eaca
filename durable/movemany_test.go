package durable_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// manyMoves moves each of refs to a version and a time of its own.
func manyMoves(refs []task.Ref) []task.Move {
	moves := make([]task.Move, len(refs))
	for i, ref := range refs {
		moves[i] = task.Move{Ref: ref, To: task.NewVer(), DueMS: task.MaxDue - int64(i)}
	}
	return moves
}

// Whatever statement the connection is lost at, before or after the server has done it, each MoveMany tells what it did, and moves once.
func TestALostAnswerDoesNotMakeAMoveOfManyLie(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		for _, at := range []string{"BEGIN", "UPDATE `t_task`", "SELECT id", "COMMIT"} {
			for _, before := range []bool{true, false} {
				rows, refs := numbered(300)
				rows = far(rows)
				for i := range rows {
					rows[i].ID = fmt.Sprintf("%s-%v-%d", at, before, i)
					refs[i] = rows[i].Ref
				}
				mustCreate(t, s, rows)
				mustDelete(t, s, refs[7])
				moves := manyMoves(refs)
				w.loseOnce(at, before)
				moved, err := s.MoveMany(t.Context(), moves)
				w.mend()
				if err != nil || len(moved) != len(refs) || moved[7] || slices.Contains(append(moved[:7:7], moved[8:]...), false) {
					t.Fatalf("%s, before=%v: MoveMany: %v, %v; want all but row 7 moved", at, before, moved, err)
				}
				stand(t, s, fmt.Sprintf("%s, before=%v", at, before), moves, 7)
			}
		}
	})
}

// stand checks that the rows of moves, except one, have the versions that they were moved to.
func stand(t *testing.T, s *durable.MySQL, what string, moves []task.Move, except int) {
	t.Helper()
	var names []string
	want := map[string]task.Move{}
	for i, mv := range moves {
		if names = append(names, mv.ID); i != except {
			want[mv.ID] = mv
		}
	}
	rows, err := s.Get(t.Context(), names)
	if err != nil || len(rows) != len(want) {
		t.Fatalf("%s: %d rows stand, %v; want %d", what, len(rows), err, len(want))
	}
	for _, r := range rows {
		if mv := want[r.ID]; r.Ver != mv.To || r.PrevVer != mv.Ver || r.NextMS != mv.DueMS || r.DueMS != mv.DueMS {
			t.Fatalf("%s: %+v stands, want %+v", what, r, mv)
		}
	}
}

// The answer to a COMMIT is lost, and rows change before the next try. MoveMany tells what its first try did; if no row says, it says so.
func TestARepeatedMoveOfManyKnowsWhatWasDone(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		other := open(t, w.open(t))
		for i, c := range []struct {
			name  string
			lost  bool // the COMMIT was not made
			spoil int  // so many of three rows are deleted in between
			want  []bool
			err   error
		}{
			{"made", false, 2, []bool{true, true, true}, nil},
			{"not made", true, 2, []bool{false, false, true}, nil},
			{"made, and nothing is left", false, 3, nil, task.ErrGone},
			{"not made, and nothing is left", true, 3, nil, task.ErrGone},
		} {
			rows, refs := numbered(3)
			rows = far(rows)
			for k := range rows {
				rows[k].ID = fmt.Sprintf("%d-%d", i, k)
				refs[k] = rows[k].Ref
			}
			mustCreate(t, s, rows)
			moves := manyMoves(refs)
			spoiled := false
			w.loseOnce("COMMIT", c.lost)
			w.mu.Lock()
			commits := 0
			w.hold = func(call call) error {
				if call.stmt == "COMMIT" {
					commits++
				}
				if commits != 1 || spoiled || !strings.HasPrefix(call.stmt, "SELECT id") {
					return nil
				}
				spoiled = true
				var gone []string
				for _, ref := range refs[:c.spoil] {
					gone = append(gone, ref.ID)
				}
				_, err := other.DeleteByID(t.Context(), gone, task.MaxDue)
				return err
			}
			w.mu.Unlock()
			moved, err := s.MoveMany(t.Context(), moves)
			w.mend()
			if !slices.Equal(moved, c.want) || !errors.Is(err, c.err) || !spoiled {
				t.Errorf("%s: MoveMany: %v, %v, rows deleted in between: %t; want %v, %v", c.name, moved, err, spoiled, c.want, c.err)
			}
			if unsure := task.Unsure(err); c.err != nil && !slices.Equal(unsure, refs) {
				t.Errorf("%s: the error is unsure of %v, want %v", c.name, unsure, refs)
			}
		}
	})
}

// A failed MoveMany names the rows that it may have moved, and no others.
func TestAFailedMoveOfManyNamesWhatItMayHaveMoved(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		t.Parallel()
		s, w := wired(t, kind)
		rows, refs := numbered(3)
		mustCreate(t, s, far(rows))
		mustDelete(t, s, refs[1])
		for _, at := range []string{"UPDATE `t_task`", "COMMIT"} { // in this order, because the COMMIT takes effect
			var want []task.Ref
			if at == "COMMIT" {
				want = []task.Ref{refs[0], refs[2]}
			}
			w.cut(at)
			moved, err := s.MoveMany(t.Context(), manyMoves(refs))
			w.mend()
			if got := task.Unsure(err); moved != nil || !errors.Is(err, task.ErrUnavailable) || !slices.Equal(got, want) {
				t.Errorf("lost at %s: MoveMany: %v, %v, unsure of %v; want %v", at, moved, err, got, want)
			}
		}
	})
}
