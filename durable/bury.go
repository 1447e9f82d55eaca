package durable

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// buryRows is how many rows one transaction moves at most.
const buryRows = 100

// Bury implements Store.
//
// Protocol of one transaction: it reads FOR UPDATE which of the versions exist, copies their rows to the dead letters inside
// the server (one INSERT ... SELECT for all that died in the same way), deletes them, and commits. It takes as many of them
// as have task.MostBytes together, and leaves the others to the next transaction. So a row is a task or a dead letter at each
// moment, and never both.
//
// A version that is not met is looked for among the dead letters. So a repeat, after a commit whose answer was lost, tells
// that the task is dead.
//
// Deaths are rare, so that calls share no statement, and their connections are always fresh (FreshRead).
func (m *MySQL) Bury(ctx context.Context, burials []task.Burial) ([]bool, error) {
	return m.buryAll(ctx, burials, nil)
}

// buryAll is Bury, and keeps what ends say of the rows; without ends no history is kept.
func (m *MySQL) buryAll(ctx context.Context, burials []task.Burial, ends map[task.Ref]task.Ending) ([]bool, error) {
	for _, b := range burials {
		if err := b.Check(); err != nil {
			return nil, fmt.Errorf("bury %d tasks: %w", len(burials), err)
		}
	}
	own := slices.Clone(burials)
	slices.SortFunc(own, func(a, b task.Burial) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Ver, b.Ver))
	})
	paced, cancel := m.paced(ctx)
	defer cancel()
	dead := make(map[task.Ref]bool, len(burials))
	err := eachPart(paced, m, own, m.burialShare, func(part []task.Burial) error { return m.buryPart(paced, part, ends, dead) })
	if err != nil {
		var maybe []task.Ref
		for ref := range dead {
			maybe = append(maybe, ref)
		}
		return nil, fmt.Errorf("bury %d tasks: %w", len(burials), doubtful(maybe, m.nameTimeout(paced, err)))
	}
	all := make([]bool, len(burials))
	for i, b := range burials {
		all[i] = dead[b.Ref]
	}
	return all, nil
}

func (m *MySQL) burialShare(b task.Burial) int { return max(maxRows/buryRows, m.refShare(b.Ref)) }

// buryPart buries what one statement can name. If one of several rows may have caused a failure, each goes alone.
func (m *MySQL) buryPart(ctx context.Context, part []task.Burial, ends map[task.Ref]task.Ending, dead map[task.Ref]bool) error {
	err := m.buryTogether(ctx, part, ends, dead)
	if len(part) == 1 || !splitsGroup(err) {
		return err
	}
	err = nil
	for _, b := range part {
		m.next(ctx)
		err = errors.Join(err, m.buryTogether(ctx, []task.Burial{b}, ends, dead))
	}
	return err
}

// buryTogether adds to dead what is dead afterwards, or with an error what may be.
func (m *MySQL) buryTogether(ctx context.Context, part []task.Burial, ends map[task.Ref]task.Ending, dead map[task.Ref]bool) error {
	again := retryable
	if len(part) > 1 {
		again = retryableInGroup
	}
	left := part
	return m.retryIf(ctx, "bury", again, func(conn *sql.Conn) error {
		for len(left) > 0 {
			met, moved, err := m.bury(ctx, conn, left, ends)
			if unsure(err) || err == nil {
				note(dead, moved)
			}
			if err != nil {
				return err
			}
			missing := slices.DeleteFunc(slices.Clone(left), func(b task.Burial) bool { return met[b.Ref] })
			if err := m.noteDead(ctx, conn, missing, dead); err != nil {
				return err
			}
			left = slices.DeleteFunc(slices.Clone(left), func(b task.Burial) bool { return !met[b.Ref] || slices.Contains(moved, b.Ref) })
		}
		return nil
	})
}

func note(dead map[task.Ref]bool, refs []task.Ref) {
	for _, r := range refs {
		dead[r] = true
	}
}

// noteDead notes which of these burials have been done before. What may have been moved by a try whose answer was lost, and
// is neither a task nor dead now, stays noted: it has been moved, and purged since.
func (m *MySQL) noteDead(ctx context.Context, conn *sql.Conn, missing []task.Burial, dead map[task.Ref]bool) error {
	if len(missing) == 0 {
		return nil
	}
	rows, err := conn.QueryContext(ctx, expand(m.sql["find_dead"], len(missing)), refArgs(burialRefs(missing))...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r task.Ref
		if err := rows.Scan(&r.ID, &r.Ver); err != nil {
			return err
		}
		dead[r] = true
	}
	return rows.Err()
}

func burialRefs(bs []task.Burial) []task.Ref {
	refs := make([]task.Ref, len(bs))
	for i, b := range bs {
		refs[i] = b.Ref
	}
	return refs
}

// bury is one transaction. It returns which versions it has met, and of these the ones that it has moved, or with an error
// may have moved.
func (m *MySQL) bury(ctx context.Context, conn *sql.Conn, part []task.Burial, ends map[task.Ref]task.Ending) (met map[task.Ref]bool, moved []task.Ref, err error) {
	m.next(ctx)
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	met, fit, err := m.lockDying(ctx, tx, burialRefs(part))
	if err == nil && len(fit) == 0 {
		return nil, nil, tx.Rollback()
	}
	for how, refs := range alike(part, fit) {
		if err == nil {
			args := append([]any{how.DeadMS, how.Attempt, []byte(how.Reason), []byte(how.LastError)}, refArgs(refs)...)
			_, err = tx.ExecContext(ctx, expand(m.sql["bury_tasks"], len(refs)), args...)
		}
	}
	if err == nil && ends != nil {
		err = m.keepBuried(ctx, tx, fit, ends)
	}
	if err == nil {
		_, err = m.execDelete(ctx, tx, fit)
	}
	if err != nil {
		return nil, nil, errors.Join(err, rollback(tx))
	}
	return met, fit, tx.Commit()
}

// keepBuried writes the history of rows that this transaction has locked.
func (m *MySQL) keepBuried(ctx context.Context, tx *sql.Tx, refs []task.Ref, ends map[task.Ref]task.Ending) error {
	some := make([]task.Ending, len(refs))
	for i, r := range refs {
		some[i] = ends[r]
		some[i].Ref = r
	}
	_, err := m.lockAndKeep(ctx, tx, some)
	return err
}

// lockDying locks the rows that exist of refs, and returns which do, and as many of them as have task.MostBytes
// together, or one.
func (m *MySQL) lockDying(ctx context.Context, tx *sql.Tx, refs []task.Ref) (met map[task.Ref]bool, fit []task.Ref, err error) {
	rows, err := tx.QueryContext(ctx, expand(m.sql["lock_dying_tasks"], len(refs)), refArgs(refs)...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	met, bytes := map[task.Ref]bool{}, 0
	for rows.Next() {
		var r task.Ref
		var size int
		if err := rows.Scan(&r.ID, &r.Ver, &size); err != nil {
			return nil, nil, err
		}
		met[r] = true
		if bytes += size; len(fit) == 0 || bytes <= task.MostBytes {
			fit = append(fit, r)
		}
	}
	return met, fit, rows.Err()
}

// alike parts the burials of refs into those that differ in nothing but the task.
func alike(part []task.Burial, refs []task.Ref) map[task.Burial][]task.Ref {
	all := map[task.Burial][]task.Ref{}
	for _, b := range part {
		if slices.Contains(refs, b.Ref) {
			ref := b.Ref
			b.Ref = task.Ref{}
			all[b] = append(all[b], ref)
		}
	}
	return all
}
