package durable

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// This file ends tasks whose history is kept (Historian). The protocol is that of a deletion, with one difference: the transaction first
// locks the rows that exist, with what the history keeps of them, and then writes their history and deletes them. So what is written
// is about exactly the rows that are deleted, and a statement never has to be told which of its rows were met. Where callers know what
// the history keeps (task.Ending.Whole), no row is read: the transaction deletes all of them first, and goes on only if all were met.

var _ TxHistorian = (*MySQL)(nil)

// checkEndings refuses what no history takes.
func checkEndings(ends []task.Ending) error {
	for _, e := range ends {
		if err := e.Check(); err != nil {
			return err
		}
	}
	return nil
}

// End implements Historian. Concurrent calls share statements.
func (m *MySQL) End(ctx context.Context, ends []task.Ending) ([]bool, error) {
	if err := checkEndings(ends); err != nil || len(ends) == 0 {
		return nil, err
	}
	own := slices.Clone(ends)
	deleted, err := one(ctx, &m.ends, m.endEach, own, m.endsShare(own))
	return m.splitDelete(ctx, refsOfEndings(own), deleted, err, func() ([]bool, error) { return m.ungrouped.ends.Do(ctx, own) })
}

func refsOfEndings(ends []task.Ending) []task.Ref {
	refs := make([]task.Ref, len(ends))
	for i, e := range ends {
		refs[i] = e.Ref
	}
	return refs
}

// endAll is the Flush of End.
func (m *MySQL) endAll(calls [][]task.Ending) []coalesce.Result[[]bool] {
	return m.endEach(context.Background(), calls)
}

// endEach deletes for many calls at once. If several name one version, the first call deletes it, and its Ending is kept.
func (m *MySQL) endEach(ctx context.Context, calls [][]task.Ending) []coalesce.Result[[]bool] {
	refs, ends := make([][]task.Ref, len(calls)), map[task.Ref]task.Ending{}
	for i, call := range calls {
		refs[i] = refsOfEndings(call)
		for _, e := range call {
			if _, is := ends[e.Ref]; !is {
				ends[e.Ref] = e
			}
		}
	}
	return m.deleteTogether(ctx, refs, ends)
}

// EndByID implements Historian. Concurrent calls share statements.
func (m *MySQL) EndByID(ctx context.Context, ends []task.Ending) ([]task.Row, error) {
	if err := checkEndings(ends); err != nil || len(ends) == 0 {
		return nil, err
	}
	own := deletionByID{ids: make([]string, len(ends)), aboveMS: task.MaxDue, ends: make(map[string]task.Ending, len(ends))}
	for i, e := range ends {
		own.ids[i], own.ends[e.ID] = e.ID, e
	}
	return m.deleteByID(ctx, own)
}

// EndDead implements Historian.
func (m *MySQL) EndDead(ctx context.Context, burials []task.Burial, ends []task.Ending) ([]bool, error) {
	err := checkEndings(ends)
	if err == nil && len(ends) != len(burials) {
		err = fmt.Errorf("%w: %d endings for %d burials, want one for each", task.ErrInvalid, len(ends), len(burials))
	}
	if err != nil {
		return nil, fmt.Errorf("bury %d tasks: %w", len(burials), err)
	}
	kept := make(map[task.Ref]task.Ending, len(ends))
	for i, e := range ends {
		e.Ref = burials[i].Ref
		kept[e.Ref] = e
	}
	return m.buryAll(ctx, burials, kept)
}

// KeepTx implements TxHistorian.
func (m *MySQL) KeepTx(ctx context.Context, tx task.Tx, ends []task.Ending) error {
	err := checkEndings(ends)
	if err == nil {
		own := slices.Clone(ends)
		slices.SortFunc(own, func(a, b task.Ending) int { return strings.Compare(a.ID, b.ID) })
		err = eachPart(ctx, m, own, m.endShare, func(part []task.Ending) error {
			_, err := m.lockAndKeep(ctx, tx, part)
			return err
		})
	}
	return inTx(err, "keep the history of %d tasks", len(ends))
}

// queryExecer is a transaction: the library's own, or a caller's.
type queryExecer interface {
	querier
	execer
}

// lockAndKeep locks the rows that exist in the versions of ends, writes their history, and returns these versions.
func (m *MySQL) lockAndKeep(ctx context.Context, tx queryExecer, ends []task.Ending) ([]task.Ref, error) {
	existing, kept, err := m.lockEnding(ctx, tx, ends)
	if err != nil {
		return existing, err
	}
	return existing, m.keep(ctx, tx, kept)
}

// keep writes history.
func (m *MySQL) keep(ctx context.Context, tx execer, kept []task.Ending) error {
	if len(kept) == 0 {
		return nil
	}
	rows := make([]byte, 0, len(kept)*endingBytes)
	for i, e := range kept {
		if i > 0 {
			rows = append(rows, ',')
		}
		rows = appendDone(rows, e)
	}
	_, err := tx.ExecContext(ctx, strings.Replace(m.sql["insert_done"], "{rows}", string(rows), 1))
	failpoint.Hit("confirm/history") // a crash here leaves the tasks, and no history of them: the transaction is not committed
	return err
}

// appendDone appends a row of insert_done.sql. Numbers and hexadecimal literals need no quotes and no arguments: with twelve arguments a row the
// driver took longer than the server.
func appendDone(b []byte, e task.Ending) []byte {
	b = strconv.AppendInt(append(b, '('), e.Slot(), 10)
	b = appendBytes(append(b, ','), e.ID)
	for _, n := range []int64{e.EndedMS, e.Ver, int64(e.How), e.DueMS, e.CreatedMS} {
		b = strconv.AppendInt(append(b, ','), n, 10)
	}
	b = append(b, ',')
	if e.DeliveredMS == 0 {
		b = append(b, "NULL"...)
	} else {
		b = strconv.AppendInt(b, e.DeliveredMS, 10)
	}
	b = strconv.AppendInt(append(b, ','), int64(e.Attempt), 10)
	b = appendBytes(append(b, ','), e.Worker)
	for _, text := range []string{e.Reason, e.LastError} {
		if b = append(b, ','); text == "" {
			b = append(b, "NULL"...)
		} else {
			b = appendBytes(b, text)
		}
	}
	return append(b, ')')
}

// appendBytes appends text as a literal to which no character set applies.
func appendBytes(b []byte, text string) []byte {
	b = hex.AppendEncode(append(b, "x'"...), []byte(text))
	return append(b, '\'')
}

// lockEnding locks the rows that exist in the versions of ends, and returns their versions, and what is kept of them.
func (m *MySQL) lockEnding(ctx context.Context, tx querier, ends []task.Ending) (existing []task.Ref, kept []task.Ending, err error) {
	rows, err := tx.QueryContext(ctx, expand(m.sql["lock_ending_tasks"], len(ends)), refArgs(refsOfEndings(ends))...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	byRef := make(map[task.Ref]task.Ending, len(ends))
	for _, e := range ends {
		byRef[e.Ref] = e
	}
	for rows.Next() {
		var id sql.RawBytes
		var r task.Row
		if err := rows.Scan(&id, &r.Ver, &r.DueMS, &r.CreatedMS, &r.Attempt); err != nil {
			return nil, nil, err
		}
		e, is := byRef[task.Ref{ID: string(id), Ver: r.Ver}]
		if !is {
			continue
		}
		r.Ref = e.Ref
		existing = append(existing, e.Ref)
		if e.How != 0 {
			kept = append(kept, r.EndedAs(e))
		}
	}
	return existing, kept, errors.Join(rows.Err(), rows.Close())
}

// endingBytes are the numbers, placeholders and quotes of one row of the history.
const endingBytes = 200

// endShare is the share of a statement that the history of one row takes.
func (m *MySQL) endShare(e task.Ending) int {
	return m.part(endingBytes + 2*int64(len(e.ID)+len(e.Worker)+len(e.Reason)+len(e.LastError)))
}

// endsShare is a call's share of a statement in rows.
func (m *MySQL) endsShare(ends []task.Ending) int {
	n := 0
	for _, e := range ends {
		n += m.endShare(e)
	}
	return n
}

// end deletes the rows of d whose history is kept, and returns them. It deletes either all of them at once, or those that exist after
// a look that is fresh (FreshRead).
func (d *deletion) end(ctx context.Context, conn *sql.Conn) (deleted []task.Ref, err error) {
	ends, whole := d.endings()
	var all bool
	if whole {
		deleted, all, err = d.endWhole(ctx, conn, ends)
	} else {
		deleted, all, err = d.endExisting(ctx, conn, ends, true)
	}
	if all || err != nil {
		return deleted, err
	}
	if _, err := d.m.turnFresh(ctx, conn); err != nil {
		return nil, err
	}
	deleted, _, err = d.endExisting(ctx, conn, ends, false)
	return deleted, err
}

// endings are how the rows of d end, in their order. whole: no row needs to be read for it.
func (d *deletion) endings() (ends []task.Ending, whole bool) {
	ends, whole = make([]task.Ending, len(d.refs)), true
	for i, r := range d.refs {
		ends[i] = d.ends[r]
		ends[i].Ref, whole = r, whole && ends[i].Whole()
	}
	return ends, whole
}

// endWhole is one transaction that deletes all rows of d, or none if one of them does not exist.
func (d *deletion) endWhole(ctx context.Context, conn *sql.Conn, ends []task.Ending) (deleted []task.Ref, all bool, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, false, err
	}
	n, err := d.m.execDelete(ctx, tx, d.refs)
	if all = n == len(d.refs); err == nil && !all {
		return nil, false, tx.Rollback()
	}
	if err == nil {
		err = d.m.keep(ctx, tx, slices.DeleteFunc(slices.Clone(ends), func(e task.Ending) bool { return e.How == 0 }))
	}
	if err != nil {
		return nil, all, errors.Join(err, rollback(tx))
	}
	return d.refs, true, d.commit(d.refs, tx.Commit())
}

// endExisting is one transaction. It reports whether all rows of d exist; if not, and allOrNone, it deletes none.
func (d *deletion) endExisting(ctx context.Context, conn *sql.Conn, ends []task.Ending, allOrNone bool) (deleted []task.Ref, all bool, err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, false, err
	}
	existing, err := d.m.lockAndKeep(ctx, tx, ends)
	if all = len(existing) == len(d.refs); err == nil && (len(existing) == 0 || allOrNone && !all) {
		return nil, all, tx.Rollback()
	}
	if err == nil {
		_, err = d.m.execDelete(ctx, tx, existing)
	}
	if err != nil {
		return nil, all, errors.Join(err, rollback(tx))
	}
	return existing, all, d.commit(existing, tx.Commit())
}
