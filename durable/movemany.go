package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// moveMany is one call of MoveMany. One goroutine owns it.
//
// Protocol: BEGIN; for each part of the moves an UPDATE, and, if it has changed fewer rows than it names, a SELECT of the
// versions that stand then; COMMIT. The transaction holds the locks of the rows that it has changed, so that a row that has the version of
// its move was moved by this call, and no other mover comes between the two statements.
//
// If the answer to the COMMIT was lost, the next try first looks at the rows that the lost try has moved. If one of them has the
// version of its move, that try has committed, and what it did is the answer: other rows were moved or deleted since. If one
// has its old version, that try has not committed, and this one does it all. If there is neither, no try can tell
// any more, and the answer is ErrGone, as that of Move is.
type moveMany struct {
	m     *MySQL
	moves []task.Move // by their ids, so that calls lock rows in one order
	done  map[string]bool
	state moveState
}

// moveState says how far the last try came.
type moveState int

const (
	moveNotMade   moveState = iota // nothing is committed
	moveUnsure                     // the answer to the COMMIT was lost; done has what it did
	moveCommitted                  // done has what it did
)

// movePart is how much longer a move is in the statement than a reference is in a DELETE: 250 moves are one statement.
const movePart = 4

// MoveMany implements Store. Calls share no statements.
func (m *MySQL) MoveMany(ctx context.Context, moves []task.Move) ([]bool, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	u := &moveMany{m: m, moves: slices.Clone(moves)}
	slices.SortFunc(u.moves, func(a, b task.Move) int { return strings.Compare(a.ID, b.ID) })
	first := slices.MinFunc(moves, func(a, b task.Move) int { return int(min(1, max(-1, a.DueMS-b.DueMS))) }).DueMS
	err := m.bounded(ctx, fmt.Sprintf("move %d tasks", len(moves)), func(ctx context.Context, conn *sql.Conn) error {
		return m.aboveBound(ctx, conn, first, func() error { return u.try(ctx, conn) })
	})
	if err != nil {
		return nil, doubtful(u.unsure(), err)
	}
	moved := make([]bool, len(moves))
	for i, mv := range moves {
		moved[i] = u.done[mv.ID]
	}
	return moved, nil
}

// unsure returns the versions that may be moved although the call fails.
func (u *moveMany) unsure() (refs []task.Ref) {
	for _, mv := range u.moves {
		if u.state != moveNotMade && u.done[mv.ID] {
			refs = append(refs, mv.Ref)
		}
	}
	return refs
}

// try is one try of the whole call.
func (u *moveMany) try(ctx context.Context, conn *sql.Conn) error {
	if u.state == moveUnsure {
		if err := u.look(ctx, conn); err != nil {
			return err
		}
	}
	if u.state == moveCommitted {
		return nil
	}
	return u.transact(ctx, conn)
}

// look finds out whether the try with the lost answer has committed.
func (u *moveMany) look(ctx context.Context, conn *sql.Conn) error {
	found, err := u.m.versions(ctx, conn, idsOfMoves(u.moves))
	if err != nil {
		return err
	}
	stands := func(ver func(task.Move) int64) bool {
		return slices.ContainsFunc(u.moves, func(mv task.Move) bool {
			is, ok := found[mv.ID]
			return ok && u.done[mv.ID] && is.Ver == ver(mv)
		})
	}
	switch {
	case stands(func(mv task.Move) int64 { return mv.To }):
		u.state = moveCommitted
	case stands(func(mv task.Move) int64 { return mv.Ver }):
		u.state = moveNotMade
	default:
		return task.ErrGone
	}
	return nil
}

// transact makes the transaction.
func (u *moveMany) transact(ctx context.Context, conn *sql.Conn) error {
	u.m.next(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	u.done = make(map[string]bool, len(u.moves))
	for _, part := range split(u.moves, func(mv task.Move) int { return movePart * u.m.refShare(mv.Ref) }) {
		u.m.next(ctx)
		if err := u.part(ctx, tx, part); err != nil {
			return errors.Join(err, rollback(tx))
		}
	}
	u.m.next(ctx)
	switch err = tx.Commit(); {
	case err == nil:
		u.state = moveCommitted
	case unsure(err) && len(u.done) > 0:
		u.state = moveUnsure
	}
	return err
}

// part moves rows, and notes in done which.
func (u *moveMany) part(ctx context.Context, tx *sql.Tx, moves []task.Move) error {
	n, err := affected(tx.ExecContext(ctx, u.m.moveManyStmt(len(moves)), moveArgs(moves)...))
	if err != nil {
		return err
	}
	if n == len(moves) {
		for _, mv := range moves {
			u.done[mv.ID] = true
		}
		return nil
	}
	found, err := u.m.versions(ctx, tx, idsOfMoves(moves))
	if err != nil {
		return err
	}
	for _, mv := range moves {
		if is, ok := found[mv.ID]; ok && is.Ver == mv.To {
			u.done[mv.ID] = true
		}
	}
	return nil
}

// moveManyStmt returns the statement for n moves.
func (m *MySQL) moveManyStmt(n int) string {
	cases := strings.TrimSuffix(strings.Repeat("WHEN ? THEN ? ", n), " ")
	return expand(strings.NewReplacer("{times}", cases, "{to}", cases).Replace(m.sql["move_many_tasks"]), n)
}

// moveArgs returns the arguments of moveManyStmt.
func moveArgs(moves []task.Move) []any {
	args, to, refs := make([]any, 0, 6*len(moves)), make([]any, 0, 2*len(moves)), make([]task.Ref, len(moves))
	for i, mv := range moves {
		args, to, refs[i] = append(args, mv.Ver, mv.DueMS), append(to, mv.Ver, mv.To), mv.Ref
	}
	return append(append(args, to...), refArgs(refs)...)
}

func idsOfMoves(moves []task.Move) []string {
	ids := make([]string, len(moves))
	for i, mv := range moves {
		ids[i] = mv.ID
	}
	return ids
}
