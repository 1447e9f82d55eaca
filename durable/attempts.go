package durable

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// RaiseAttempts implements Store. Rows that get the same number of attempts share statements, each of which is a commit of
// its own: a repeated one changes nothing.
func (m *MySQL) RaiseAttempts(ctx context.Context, counts []task.Attempts) (raised int, err error) {
	own := slices.Clone(counts)
	slices.SortFunc(own, func(a, b task.Attempts) int {
		return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), strings.Compare(a.ID, b.ID), cmp.Compare(a.Ver, b.Ver))
	})
	for len(own) > 0 {
		to := own[0].Attempt
		end := slices.IndexFunc(own, func(a task.Attempts) bool { return a.Attempt != to })
		if end < 0 {
			end = len(own)
		}
		refs := make([]task.Ref, end)
		for i, a := range own[:end] {
			refs[i] = a.Ref
		}
		err := m.boundedIn(ctx, certified, "raise attempts", func(ctx context.Context, conn *sql.Conn) error {
			n, err := m.raiseTo(ctx, conn, refs, to)
			raised += n
			return err
		})
		if err != nil {
			return raised, err
		}
		own = own[end:]
	}
	return raised, nil
}

func (m *MySQL) raiseTo(ctx context.Context, conn *sql.Conn, refs []task.Ref, attempt int) (raised int, err error) {
	err = eachPart(ctx, m, refs, m.refShare, func(part []task.Ref) error {
		args := append(append([]any{attempt}, refArgs(part)...), attempt)
		res, err := conn.ExecContext(ctx, expand(m.sql["raise_attempts"], len(part)), args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected() // also where the client counts the rows that a statement meets (clientFoundRows): it meets those alone
		raised += int(n)
		return err
	})
	return raised, err
}
